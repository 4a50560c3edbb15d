"""What Numba's variables in the environment say of kernels, read without Numba."""

from __future__ import annotations

import os


def _is_on(name: str) -> bool:
    return os.environ.get(name, "0").strip() not in ("", "0")


DISABLE_JIT = _is_on("NUMBA_DISABLE_JIT")
BOUNDSCHECK = _is_on("NUMBA_BOUNDSCHECK")
#: Kernels do not gain by what this CPU has and others lack: so they are compiled for any of its
#: kind, unless somebody says otherwise, and what is compiled here runs there.
CPU_NAME = os.environ.get("NUMBA_CPU_NAME")
CPU_FEATURES = os.environ.get("NUMBA_CPU_FEATURES")
if CPU_NAME is None and CPU_FEATURES is None:
    CPU_NAME, CPU_FEATURES = "generic", ""
#: The others that change what is compiled.
OTHERS = tuple(os.environ.get(name, "") for name in ("NUMBA_OPT", "NUMBA_DEBUGINFO"))
