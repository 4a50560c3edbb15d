"""Make one report, and fail if a kernel had to be compiled for it.

    PYTHON deploy/first_report.py CAPTURE FOLDER

PYTHON is that of an installed release wheel; the folder is where the report goes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from pcapkit.cli.main import cli
from pcapkit.kernels.compiled import Compiled
from pcapkit.pipeline.first_run import is_first_run


def main(capture: str, folder: str) -> int:
    if is_first_run():
        print("the compiled kernels do not fit", file=sys.stderr)
        return 1
    cli(["analyze", capture, "-o", folder, "--quiet"], standalone_mode=False)
    stats = {kernel.py_func: kernel.stats for kernel in kernels()}
    taken = [f.__name__ for f, of in stats.items() if of.cache_hits]
    compiled = sorted(f.__name__ for f, of in stats.items() if of.cache_misses)
    print(
        f"{len(taken)} kernels came with the wheel, compiled here: {', '.join(compiled) or 'none'}"
    )
    return 1 if compiled or not taken else 0


def kernels() -> Iterator[Any]:
    """Yield all kernels of the modules that are loaded, some of them more than once."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module.__name__.startswith("pcapkit."):
            for value in vars(module).values():
                if isinstance(getattr(value, "_cache", None), Compiled):
                    yield value


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
