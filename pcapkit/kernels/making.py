"""How a kernel is compiled: by Numba, without what takes its time and does nothing here.

Numba makes machine code of every function that kernels call, together with all that those call in
their turn, so what lies deep is compiled again at every level above it; here only the kernels
themselves become machine code, and each function is put into a kernel once. Numba looks for
closures, comprehensions and array expressions to rewrite, of which kernels have none; here it does
not. And Numba asks up to eighteen templates at every ``<`` and ``+``, each time that it goes
through a function, what it could mean; here an operation is resolved once for the same types.

``numba.core.compiler`` and ``numba.core.codegen`` are where the classes come from.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import llvmlite.binding as llvm
from numba import types
from numba.core import typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import PassManager
from numba.extending import models, register_model

from pcapkit.memory import without_collection

#: What becomes of a kernel, in order. All else that Numba does is for Python that no kernel has.
_PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    untyped_passes.IRProcessing,
    untyped_passes.GenericRewrites,
    untyped_passes.ReconstructSSA,
    typed_passes.NopythonTypeInference,
    typed_passes.PreLowerStripPhis,
    typed_passes.IRLegalization,
    typed_passes.AnnotateTypes,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)


class PartOfCode(JITCodeLibrary):  # type: ignore[misc]
    """The code of a function that kernels call: it becomes part of theirs, and runs nowhere else.

    So it gets neither optimised nor made machine code of. What it calls in its turn is not put into
    it, but once into the kernel.
    """

    #: what it calls
    called: tuple[JITCodeLibrary, ...] = ()
    _linking_libraries: list[JITCodeLibrary]

    @property
    def codegen(self) -> Any:
        return _NoMachineCode(self._codegen)

    def finalize(self) -> None:
        """Close this code, apart from what it calls."""
        self.called, self._linking_libraries = tuple(self._linking_libraries), []
        super().finalize()

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return 0, which says that Python cannot call it."""
        self._ensure_finalized()
        return 0


class _NoMachineCode:
    """A code generator that is told of functions without machine code."""

    def __init__(self, codegen: Any) -> None:
        self._codegen = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._codegen, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing: what a function knows of Python is put into its machine code."""


class KernelCode(JITCodeLibrary):  # type: ignore[misc]
    """The code of a kernel, with that of all functions that it calls, however deep.

    Nobody else calls these. Told so, LLVM hands them no argument that they do not use. An array is
    seven arguments, of which most functions use one, and a tuple of arrays as many for each:
    pushing all of them at every call took two thirds of the time of the kernel that groups
    exchanges into walks.
    """

    _linking_libraries: list[JITCodeLibrary]

    def finalize(self) -> None:
        """Optimise it, and make machine code of it."""
        called: dict[JITCodeLibrary, None] = {}
        _add_called(self._linking_libraries, called)
        self._linking_libraries = list(called)
        super().finalize()

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == llvm.Linkage.linkonce_odr:
                function.linkage = llvm.Linkage.internal
        super()._optimize_final_module()


def _add_called(libraries: Iterable[JITCodeLibrary], called: dict[JITCodeLibrary, None]) -> None:
    """Add what is called to ``called``, each once, in the order in which it is met."""
    for library in libraries:
        if library not in called:
            called[library] = None
            if isinstance(library, PartOfCode):
                _add_called(library.called, called)


class KernelCompiler(Compiler):  # type: ignore[misc]
    """Compiles a kernel."""

    library: type[JITCodeLibrary] = KernelCode

    def __init__(self, typingctx: Any, targetctx: Any, *more: Any) -> None:
        super().__init__(typingctx, targetctx, *more)
        self.state.typingctx = self.state.targetctx.typing_context = _remembering(typingctx)

    def compile_extra(self, func: Callable[..., Any]) -> Any:
        """Compile ``func``; return what Numba calls a ``CompileResult``.

        A compiler makes hundreds of thousands of objects, few of which are garbage before it is
        done: to look for those took a sixth of the time.
        """
        with without_collection():
            return super().compile_extra(func)

    def define_pipelines(self) -> list[PassManager]:
        """Return the one list of passes, when the function to compile is known."""
        state = self.state
        state.library = self.library(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        passes = _Passes("kernel")
        for each in _PASSES:
            passes.add_pass(each, each.__name__)
        passes.finalize()
        return [passes]


class PartCompiler(KernelCompiler):
    """Compiles a function for kernels to call."""

    library = PartOfCode


class _Passes(PassManager):  # type: ignore[misc]
    """Passes that are not examined after each of them."""

    _ENFORCING = False


class _Remembered(types.Function):  # type: ignore[misc]
    """An operation, such as ``operator.lt``, and what it has come to for arguments of each type."""

    def __init__(self, templates: Any) -> None:
        super().__init__(templates)
        self._found: dict[tuple[Any, ...], Any] = {}

    def get_call_type(self, context: Any, args: Any, kws: Any) -> Any:
        key = (tuple(args), tuple(kws.items()))
        if key not in self._found:
            self._found[key] = super().get_call_type(context, args, kws)
        return self._found[key]


register_model(_Remembered)(models.OpaqueModel)  # as of a Function: there is none at run time

_remembered: dict[Any, _Remembered] = {}
_contexts: dict[Any, Any] = {}


def _remembering(context: Any) -> Any:
    """Return a copy of a typing context, for kernels alone, that resolves operations once."""
    if context not in _contexts:
        kind = type(context)

        def _lookup_global(self: Any, value: Any) -> Any:
            found = kind._lookup_global(self, value)
            if type(found) is not types.Function:
                return found
            if found not in _remembered:
                _remembered[found] = _Remembered(found.templates)
            return _remembered[found]

        ours = copy.copy(context)
        ours.__class__ = type("RememberingContext", (kind,), {"_lookup_global": _lookup_global})
        _contexts[context] = _contexts[ours] = ours
    return _contexts[context]
