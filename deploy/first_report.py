"""Make one report, and fail if it took a kernel that the wheel did not bring.

    PYTHON deploy/first_report.py CAPTURE FOLDER

PYTHON is that of an installed release wheel; the folder is where the report goes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pcapkit
from pcapkit.cli.main import cli
from pcapkit.kernels.compiled import Compiled
from pcapkit.pipeline.first_run import is_first_run


def main(capture: str, folder: str) -> int:
    if is_first_run():
        print("the compiled kernels do not fit", file=sys.stderr)
        return 1
    cli(["analyze", capture, "-o", folder, "--quiet"], standalone_mode=False)
    stats = {kernel.py_func: kernel.stats for kernel in kernels()}
    used = {f.__name__: of for f, of in stats.items() if of.cache_hits or of.cache_misses}
    shipped = os.path.join(os.path.dirname(pcapkit.__file__), "kernels", "shipped", "")
    others = [
        n for n, of in used.items() if of.cache_misses or not of.cache_path.startswith(shipped)
    ]
    print(f"{len(used)} kernels were used; not of the wheel: {', '.join(others) or 0}")
    return 1 if others or not used else 0


def kernels() -> Iterator[Any]:
    """Yield all kernels of the modules that are loaded, some of them more than once."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module.__name__.startswith("pcapkit."):
            for value in vars(module).values():
                if isinstance(getattr(value, "_cache", None), Compiled):
                    yield value


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
