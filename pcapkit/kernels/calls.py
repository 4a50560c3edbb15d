"""Machine code linked and called, without Numba: arguments as the words that it takes.

A compiled function takes the address of its result, the address of what an error leaves, and its
arguments: a number as itself, a row as its address, a tuple as its items, an array as seven words
(two owners that nobody here counts, items, bytes of an item, address, shape, strides; two more for
each further dimension). It returns 0 where it ended well. That is Numba's calling convention
(``numba.core.callconv``, ``ArrayModel`` of ``numba.core.datamodel.models``).
"""

from __future__ import annotations

import ctypes
import pickle
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

#: What the arguments of a call are: what a form is compiled for.
Kinds = tuple[Any, ...]
#: Of numbers, by NumPy's character.
_NUMBERS: dict[str, Any] = {
    "?": ctypes.c_uint8,
    "b": ctypes.c_int8,
    "B": ctypes.c_uint8,
    "h": ctypes.c_int16,
    "H": ctypes.c_uint16,
    "i": ctypes.c_int32,
    "I": ctypes.c_uint32,
}
_INT, _BOOL = np.dtype(np.int64), np.dtype(np.bool_)
_LIMIT = 1 << 63
#: What an array's flags say that matters: contiguous (as C has it, as Fortran has it), aligned,
#: writable.
_FLAGS = 0x1 | 0x2 | 0x100 | 0x400


@dataclass(frozen=True, slots=True)
class Code:
    """The machine code of one form."""

    #: of the function in the object
    symbol: str
    #: ``none``, ``bool``, ``int``, or the number of integers
    returns: str
    #: an object file
    machine: bytes
    #: that it runs on, and its features
    cpu: tuple[str, str]


class Form:
    """One form of a kernel, ready to be called."""

    def __init__(self, code: Code, kinds: Kinds, folder: str, *, found: bool) -> None:
        #: where it is kept, empty where nowhere; was it found there, or compiled?
        self.folder, self.found = folder, found
        types = (ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *_types(kinds))
        self._function = ctypes.CFUNCTYPE(*types)(_link(code))
        self._returns = code.returns
        self._results = int(code.returns) if code.returns.isdecimal() else 1

    def call(self, words: list[int]) -> Any:
        """Run it; raises what it raises, as it does where indexes are checked."""
        # memory of this call alone: the same form may run in other threads
        result, problem = (ctypes.c_int64 * self._results)(), ctypes.c_void_p()
        if status := self._function(ctypes.addressof(result), ctypes.addressof(problem), *words):
            raise _error(status, problem)
        if self._returns == "none":
            return None
        if self._returns == "bool":
            return bool(result[0] & 0xFF)
        return result[0] if self._returns == "int" else tuple(result)


class _Problem(ctypes.Structure):
    """What an error leaves: a pickled class, its arguments and where it was raised."""

    _fields_ = [("pickled", ctypes.c_void_p), ("size", ctypes.c_int32)]


def _error(status: int, problem: ctypes.c_void_p) -> Exception:
    if status < 0 or not problem.value:
        return RuntimeError(f"a kernel ended with status {status}")
    left = _Problem.from_address(problem.value)
    kind, arguments, *_ = pickle.loads(ctypes.string_at(left.pickled, left.size))
    error: Exception = kind(*(arguments or ()))
    return error


def split(arguments: Iterable[Any]) -> tuple[Kinds, list[int]]:
    """Return the kinds of arguments, and the words that stand for them.

    The words are good for as long as the arguments are there.
    """
    kinds: list[Any] = []
    words: list[int] = []
    for argument in arguments:
        _add(argument, kinds, words)
    return tuple(kinds), words


def _add(argument: Any, kinds: list[Any], words: list[int]) -> None:
    if isinstance(argument, np.ndarray):
        kinds.append((argument.dtype, argument.ndim, argument.flags.num & _FLAGS))
        words += (0, 0, argument.size, argument.itemsize, argument.ctypes.data)
        words += argument.shape
        words += argument.strides
    elif isinstance(argument, tuple):
        kinds.append((type(argument), len(argument)))
        for item in argument:
            _add(item, kinds, words)
    elif isinstance(argument, bool):
        kinds.append(_BOOL)
        words.append(argument)
    elif isinstance(argument, int):
        if not -_LIMIT <= argument < _LIMIT:
            raise OverflowError(f"{argument} has more than 64 bits")
        kinds.append(_INT)
        words.append(argument)
    elif isinstance(argument, np.void):
        kinds.append((argument.dtype,))
        words.append(argument.__array_interface__["data"][0])
    elif isinstance(argument, np.bool_ | np.integer):
        kinds.append(argument.dtype)
        words.append(int(argument))
    else:
        raise TypeError(f"kernels take no {type(argument).__name__}")


def _types(kinds: Kinds) -> Iterable[Any]:
    """Give the type of each word, as C has it."""
    for kind in kinds:
        if isinstance(kind, np.dtype):
            yield _NUMBERS.get(kind.char, ctypes.c_int64)
        elif len(kind) == 1:
            yield ctypes.c_int64
        elif len(kind) == 3:
            yield from [ctypes.c_int64] * (5 + 2 * kind[1])


def text_of(kinds: Kinds) -> str:
    """Return the kinds of arguments as text that is the same in every process."""
    return "\n".join(_kind_text(kind) for kind in kinds)


def _kind_text(kind: Any) -> str:
    if isinstance(kind, np.dtype):
        return _dtype_text(kind)
    first, *rest = kind
    if isinstance(first, np.dtype):
        return f"{_dtype_text(first)} {rest}"
    return f"{first.__module__}.{first.__qualname__} {getattr(first, '_fields', '')} {rest}"


@cache
def _dtype_text(dtype: np.dtype[Any]) -> str:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return f"{_dtype_text(base)}{shape}"
    if dtype.fields is None:
        return dtype.str
    fields = (f"{n}: {_dtype_text(f[0])} at {f[1]}" for n, f in dtype.fields.items())
    return f"{{{', '.join(fields)}}} {dtype.itemsize} {dtype.isalignedstruct}"


@cache
def _engine() -> Any:
    """Return what links machine code into this process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    module = llvm.parse_assembly("")
    return llvm.create_mcjit_compiler(module, target.create_target_machine(jit=True))


def _link(code: Code) -> int:
    """Return the address of a function, linked for as long as the process lives."""
    engine = _engine()
    engine.add_object_file(llvm.ObjectFileRef.from_data(code.machine))
    engine.finalize_object()
    address: int = engine.get_function_address(code.symbol)
    return address
