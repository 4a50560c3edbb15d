"""Numba: what compiles a kernel, where no form of it is kept.

Nothing else imports it. It settles the CPU with the first function that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import config, njit, types
from numba.core.typing.templates import infer_global
from numba.extending import intrinsic, register_jitable

from pcapkit.kernels.calls import Code
from pcapkit.kernels.settings import CPU_FEATURES, CPU_NAME

# Kernels here decide byte by byte: nothing can be vectorised, and trying takes time to compile.
config.LOOP_VECTORIZE = 0
config.CPU_NAME, config.CPU_FEATURES = CPU_NAME, CPU_FEATURES

#: Kernels get all their memory from their callers and allocate nothing; so they can do without the
#: reference counts of Numba's runtime (``_nrt``), atomic counters that are touched with every array
#: that is: with them, kernels that go through linked rows take twice to three times as long.
#: Nobody calls one from C, and ``calls.py`` calls what Python does: neither wrapper is needed.
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "_nrt": False,
    "no_cfunc_wrapper": True,
    "no_cpython_wrapper": True,
}
_RETURNS = {types.none: "none", types.boolean: "bool", types.int64: "int"}


#: Functions that kernels call, each with what Numba is to know of it.
Declared = list[tuple[Callable[..., Any], Any]]


def compile_kernel(
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
    helpers: Declared,
    machine_forms: Declared,
) -> Code:
    """Compile a kernel for the types of these arguments.

    ``helpers`` and ``machine_forms`` are what kernels call, each with its options, or what makes
    it; what Numba has been told of is taken out of them.
    """
    _declare(helpers, machine_forms)
    made = njit(**_OPTIONS)(function)
    signature = tuple(made.typeof_pyval(argument) for argument in arguments)
    made.compile(signature)
    form = made.overloads[signature]
    _, kind, (machine, _) = form.library.serialize_using_object_code()
    assert kind == "object"
    _, *cpu = form.library.codegen.magic_tuple()
    returns = _returns(form.signature.return_type)
    return Code(form.fndesc.llvm_func_name, returns, machine, (cpu[0], cpu[1]))


def _returns(kind: Any) -> str:
    if isinstance(kind, types.UniTuple) and kind.dtype == types.int64:
        return str(kind.count)
    if kind not in _RETURNS:
        raise TypeError(f"a kernel returns {kind}")
    return _RETURNS[kind]


def _declare(helpers: Declared, machine_forms: Declared) -> None:
    """Tell Numba of all that kernels call; modules that came since the last time have more."""
    while helpers:
        function, options = helpers.pop()
        register_jitable(**options, **_OPTIONS)(function)
    while machine_forms:
        function, make = machine_forms.pop()
        # what a kernel finds under the function's name is what it would find under the intrinsic's
        made = intrinsic(make)
        infer_global(function, _typing_context().resolve_value_type(made))


def _typing_context() -> Any:
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    return cpu_target.typing_context
