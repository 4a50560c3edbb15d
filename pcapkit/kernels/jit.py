"""The one way compiled code is declared here.

A kernel is Python that Numba compiles to machine code, without bounds checks: every read from a
buffer must come after a length check. It allocates nothing. Only the first run compiles:
``making.py`` says how, ``compiled.py`` keeps the compiled form, ``cache.py`` says where.
``NUMBA_DISABLE_JIT=1`` runs kernels as plain Python and ``NUMBA_BOUNDSCHECK=1`` checks every index;
the tests run under both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import config, njit, types
from numba.core.typing.templates import infer_global

from pcapkit.kernels.compiled import Compiled
from pcapkit.kernels.making import KernelCompiler, PartCompiler

# Kernels here decide byte by byte: nothing can be vectorised, and trying takes time to compile. Nor
# do they gain by what this CPU has and others lack: so they are compiled for any of its kind, and
# what is compiled here runs there. Numba settles the CPU with the first function that it is given.
config.LOOP_VECTORIZE = 0
if config.CPU_NAME is None and config.CPU_FEATURES is None:
    config.CPU_NAME, config.CPU_FEATURES = "generic", ""

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
#: What Numba makes of functions that kernels call; its types hold them weakly.
_parts: list[Any] = []


def kernel(function: Function) -> Function:
    """Compile ``function`` when it is first called; release the interpreter lock while it runs."""
    compiled = njit(pipeline_class=KernelCompiler, **_OPTIONS)(function)
    if compiled is not function:  # as it is under NUMBA_DISABLE_JIT
        compiled._cache = Compiled(function)  # what enable_caching() does, with Numba's own cache
    return cast(Function, compiled)


def inline_kernel(function: Function) -> Function:
    """Let kernels call ``function``, whose machine code becomes part of theirs at every call.

    A kernel that comes from the cache is machine code already, which the compiler can no longer
    look into: calls to it would cost more than such a function's work. Called from Python, this one
    is Python.
    """
    return _part_of_kernels(function, forceinline=True)


def helper_kernel(function: Function) -> Function:
    """Let kernels call ``function``, and the compiler decide on inlining.

    For functions that are long or called from many places: forced inlining of those costs seconds
    of compilation and gains nothing.
    """
    return _part_of_kernels(function)


def compiled_before(function: Callable[..., Any]) -> bool:
    """Is a form of this kernel kept that can be used? True where nothing is compiled."""
    kept = getattr(function, "_cache", None)
    return not isinstance(kept, Compiled) or kept.fits(cast(Any, function).targetctx.codegen())


def _part_of_kernels(function: Function, **options: Any) -> Function:
    """Tell Numba what kernels mean by ``function``, which stays what it is for Python."""
    wrapped = njit(pipeline_class=PartCompiler, no_cpython_wrapper=True, **options, **_OPTIONS)(
        function
    )
    if wrapped is not function:
        template = wrapped.get_call_template

        def without_values(args: Any, kws: Any) -> Any:
            # A 3 in a call is an integer like others: for it alone nothing is compiled.
            kws = {name: types.unliteral(each) for name, each in kws.items()}
            return template(tuple(map(types.unliteral, args)), kws)

        wrapped.get_call_template = without_values
        _parts.append(wrapped)
        infer_global(function, types.Dispatcher(wrapped))
    return function
