"""The one way compiled code is declared here.

A kernel is Python that Numba compiles to machine code, without bounds checks: every read from a
buffer must come after a length check. It allocates nothing. Only the first run compiles:
``cache.py`` says where the compiled form is kept. ``NUMBA_DISABLE_JIT=1`` runs kernels as
plain Python and ``NUMBA_BOUNDSCHECK=1`` checks every index; the tests run under both.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import config, njit
from numba.extending import register_jitable

from pcapkit.kernels.cache import folder_for

# Kernels here decide byte by byte: nothing can be vectorised, and trying takes time to compile.
config.LOOP_VECTORIZE = 0

Function = TypeVar("Function", bound=Callable[..., Any])
#: Kernels get all their memory from their callers and allocate nothing; so they can do without the
#: reference counts of Numba's runtime (``_nrt``), atomic counters that are touched with every array
#: that is: with them, kernels that go through linked rows take twice to three times as long.
#: Nobody calls one from C.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "_nrt": False,
    "no_cfunc_wrapper": True,
}


def kernel(function: Function) -> Function:
    """Compile ``function`` when it is first called; release the interpreter lock while it runs."""
    others = config.CACHE_DIR
    config.CACHE_DIR = folder_for(function.__module__)  # read by the next line, and never later
    try:
        return cast(Function, njit(cache=True, **_OPTIONS)(function))
    finally:
        config.CACHE_DIR = others


def inline_kernel(function: Function) -> Function:
    """Let kernels call ``function``, whose machine code becomes part of theirs at every call.

    A kernel that comes from the cache is machine code already, which the compiler can no longer
    look into: calls to it would cost more than such a function's work. Called from Python, this one
    is Python: ``njit`` would compile an entry for such calls too, a fourth of all compilation.
    """
    return cast(Function, register_jitable(forceinline=True, **_OPTIONS)(function))


def helper_kernel(function: Function) -> Function:
    """Let kernels call ``function``, and the compiler decide on inlining.

    For functions that are long or called from many places: forced inlining of those costs seconds
    of compilation and gains nothing.
    """
    return cast(Function, register_jitable(**_OPTIONS)(function))


def compiled_before(function: Callable[..., Any]) -> bool:
    """Is there a cache of this kernel from an earlier run? True where nothing is compiled."""
    stats = getattr(function, "stats", None)
    if stats is None or not stats.cache_path:
        return True
    return any(Path(stats.cache_path).glob(f"*.{function.__name__}-*.nbi"))
