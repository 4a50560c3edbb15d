"""Make one report, and fail if it took a kernel that the wheel did not bring.

    PYTHON deploy/first_report.py CAPTURE FOLDER

PYTHON is that of an installed release wheel; the folder is where the report goes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from types import ModuleType

import pcapkit
from pcapkit.cli.main import cli
from pcapkit.kernels.jit import Kernel
from pcapkit.pipeline.first_run import is_first_run


def main(capture: str, folder: str) -> int:
    if is_first_run():
        print("the compiled kernels do not fit", file=sys.stderr)
        return 1
    cli(["analyze", capture, "-o", folder, "--quiet"], standalone_mode=False)
    used = {kernel.__name__: kernel.forms.values() for kernel in kernels() if kernel.forms}
    shipped = os.path.join(os.path.dirname(pcapkit.__file__), "kernels", "shipped", "")
    others = [
        name
        for name, forms in used.items()
        if not all(form.found and form.folder.startswith(shipped) for form in forms)
    ]
    print(f"{len(used)} kernels were used; not of the wheel: {', '.join(others) or 0}")
    return 1 if others or not used else 0


def kernels() -> Iterator[Kernel]:
    """Yield all kernels of the modules that are loaded, some of them more than once."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and module.__name__.startswith("pcapkit."):
            for value in vars(module).values():
                if isinstance(value, Kernel):
                    yield value


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
