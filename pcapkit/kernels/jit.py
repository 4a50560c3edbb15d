"""The one way compiled code is declared here.

A kernel is Python that Numba compiles to machine code, without bounds checks: every read from a
buffer must come after a length check. It allocates nothing. Only the first run compiles, and only
that imports Numba (``compiler.py``): ``compiled.py`` keeps the machine code, ``cache.py`` says
where, ``calls.py`` links and calls it. ``NUMBA_DISABLE_JIT=1`` runs kernels as plain Python and
``NUMBA_BOUNDSCHECK=1`` checks every index; the tests run under both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar, cast

from pcapkit.kernels.calls import Form, Kinds, split
from pcapkit.kernels.compiled import Compiled
from pcapkit.kernels.settings import DISABLE_JIT

Function = TypeVar("Function", bound=Callable[..., Any])

#: What Numba has to know before it compiles the first kernel: functions that kernels call, each
#: with its options; and functions that are a few machine instructions, each with what makes them.
helpers: list[tuple[Callable[..., Any], dict[str, Any]]] = []
machine_forms: list[tuple[Callable[..., Any], Callable[..., Any]]] = []

#: Numba compiles one function at a time, and so does LLVM link.
_making = threading.RLock()


class Kernel:
    """A compiled function: called from Python, it runs without the interpreter's lock.

    It takes integers, booleans, arrays, rows of arrays and tuples of all these, and returns
    nothing, an integer, a boolean or integers. For other types of arguments it has another form.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)
        self._function = function
        self._kept = Compiled(function)
        #: by the kinds of arguments
        self.forms: dict[Kinds, Form] = {}

    def __call__(self, *arguments: Any) -> Any:
        kinds, words = split(arguments)
        form = self.forms.get(kinds) or self._form_for(kinds, arguments)
        return form.call(words)

    def compiled_before(self) -> bool:
        """Is a form kept, for whatever arguments, that can be used?"""
        return self._kept.any()

    def _form_for(self, kinds: Kinds, arguments: tuple[Any, ...]) -> Form:
        with _making:
            if kinds not in self.forms:
                code = self._kept.load(kinds)
                found = code is not None
                if code is None:
                    # Which takes longer to import than a small capture to analyse.
                    from pcapkit.kernels.compiler import compile_kernel

                    code = compile_kernel(self._function, arguments, helpers, machine_forms)
                    self._kept.save(kinds, code)
                self.forms[kinds] = Form(code, kinds, self._kept.folder, found=found)
        return self.forms[kinds]


def kernel(function: Function) -> Function:
    """Compile ``function`` when it is first called; release the interpreter lock while it runs."""
    return function if DISABLE_JIT else cast(Function, Kernel(function))


def inline_kernel(function: Function) -> Function:
    """Let kernels call ``function``, whose machine code becomes part of theirs at every call.

    A kernel that comes from the cache is machine code already, which the compiler can no longer
    look into: calls to it would cost more than such a function's work. Called from Python, this one
    is Python.
    """
    helpers.append((function, {"forceinline": True}))
    return function


def helper_kernel(function: Function) -> Function:
    """Let kernels call ``function``, and the compiler decide on inlining.

    For functions that are long or called from many places: forced inlining of those costs seconds
    of compilation and gains nothing. Numba forces it below a forced function, unless told not to.
    """
    helpers.append((function, {"forceinline": False}))
    return function


def machine_kernel(make: Callable[..., Any]) -> Callable[[Function], Function]:
    """Let kernels call a function that ``make`` gives machine instructions.

    ``make`` is what Numba's ``intrinsic`` takes. Called from Python, the function is Python.
    """

    def declare(function: Function) -> Function:
        machine_forms.append((function, make))
        return function

    return declare


def compiled_before(function: Callable[..., Any]) -> bool:
    """Is a form of this kernel kept that can be used? True where nothing is compiled."""
    return not isinstance(function, Kernel) or function.compiled_before()
