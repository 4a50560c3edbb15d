"""The compiled forms of a kernel, kept in files between runs.

A form is named by its module's content (``cache.name_of``), by what it was compiled with and for
(the Numba and LLVM, ``compiler.py``, the CPU, the checks), and by the kinds of its arguments. So
what does not fit is not found, and is compiled anew beside it. What is damaged counts as not kept.
Nothing here imports Numba: what was compiled once is linked and called without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm

from pcapkit.errors import PcapkitError
from pcapkit.files import atomic_write
from pcapkit.kernels.cache import folder_for, may_be_read, name_of, shipped_folder
from pcapkit.kernels.calls import Code, Kinds, text_of
from pcapkit.kernels.settings import BOUNDSCHECK, CPU_FEATURES, CPU_NAME, OTHERS

_DIGEST_BYTES = 32
_SUFFIX = ".kernel"


class Compiled:
    """The forms of one kernel: what the package brought, then what was compiled here."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._module, self._name = function.__module__, function.__qualname__
        #: where the last form came from, or went to; empty before there was any
        self.folder = ""

    def load(self, kinds: Kinds) -> Code | None:
        """Return the form for these kinds of arguments; None where none is kept."""
        for folder in self._folders():
            if (code := _read(Path(folder, self._file(kinds)))) is not None:
                self.folder = folder
                return code
        return None

    def save(self, kinds: Kinds, code: Code) -> None:
        """Keep a form; a disk that is full, or read-only by now, is no reason to fail."""
        self.folder = ""
        # A program that has compiled something of its own before has settled the CPU.
        if code.cpu == cpu() and (folder := folder_for(self._module)):
            try:
                atomic_write(Path(folder, self._file(kinds)), _pack(code), 0o600)
            except PcapkitError:
                return
            self.folder = folder

    def any(self) -> bool:
        """Is there a whole form that fits this process, for whatever arguments?"""
        paths = (path for folder in self._folders() for path in Path(folder).glob(self._file("*")))
        return any(_read(path) is not None for path in paths)

    def _file(self, kinds: Kinds | str) -> str:
        if not isinstance(kinds, str):
            kinds = _hash(text_of(kinds))
        return f"{self._name}.{_made_with()}.{kinds}{_SUFFIX}"

    def _folders(self) -> Iterator[str]:
        # The second folder is made when it is asked for: not before the first has been of no use.
        for find in (shipped_folder, folder_for):
            if folder := find(self._module):
                yield folder


@cache
def cpu() -> tuple[str, str]:
    """Return the CPU that kernels are compiled for, and its features, as Numba names them."""
    features = llvm.get_host_cpu_features().flatten() if CPU_FEATURES is None else CPU_FEATURES
    return CPU_NAME or llvm.get_host_cpu_name(), features


@cache
def _made_with() -> str:
    """Return what a form depends on beside its source and its arguments."""
    numba = find_spec("numba")
    # Numba's version without Numba: importing it takes longer than to analyse a small capture.
    version = Path(str(numba and numba.origin)).with_name("_version.py").read_text("utf-8")
    target = llvm.get_process_triple(), *cpu()
    how = name_of("pcapkit.kernels.compiler")  # which is not imported here, nor by any kernel
    return _hash(repr((version, llvmlite.__version__, how, target, BOUNDSCHECK, OTHERS)))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _pack(code: Code) -> bytes:
    """Return a form as a file has it: a digest of the rest, a line of facts, the machine code."""
    facts = json.dumps([code.symbol, code.returns, *code.cpu])
    rest = facts.encode() + b"\n" + code.machine
    return hashlib.sha256(rest).digest() + rest


def _read(path: Path) -> Code | None:
    """Return the form in a file; None where there is none, may be of others, or is not whole."""
    if not may_be_read(str(path)):
        return None
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, rest = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    if hashlib.sha256(rest).digest() != digest:
        return None
    facts, _, machine = rest.partition(b"\n")
    symbol, returns, *made_for = json.loads(facts)
    return Code(symbol, returns, machine, (made_for[0], made_for[1]))
