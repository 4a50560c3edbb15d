"""The compiled forms of a kernel, kept in files between runs.

Numba's own cache names what it keeps after the absolute path of a source file, so a copy of it is
worth nothing elsewhere. Here a form is named by its module's content (``cache.name_of``) and by
what it was compiled for: the types of the arguments, the Python, the Numba and LLVM, the CPU. The
index of a kernel leads from all of that to a file, so what does not fit is not found, and is
compiled anew beside it. What is damaged counts as not kept.

``numba.core.caching`` is where the classes come from, and what their files look like.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import llvmlite
from numba import config
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    IndexDataCacheFile,
    _CacheLocator,
)

from pcapkit.kernels.cache import folder_for, may_be_read, name_of, shipped_folder


class Compiled(FunctionCache):  # type: ignore[misc]
    """What Numba asks for compiled forms of one kernel, and gives those that it has made."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._name, self._py_func = repr(function), function
        self._impl = _Results(function)
        self._cache_file = _Files(function)
        self.enable()

    @property
    def cache_path(self) -> str:
        """The folder that the last form came from, or went to; empty before there was any."""
        return self._cache_file.folder

    def fits(self, codegen: Any) -> bool:
        """Is a form kept, for whatever types, that was compiled for this CPU by this Numba?"""
        return self._cache_file.holds(self._index_key(None, codegen)[1:])


class _Locator(_CacheLocator):  # type: ignore[misc]
    """Where forms of a kernel are; the folder is made when the first one is written."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._py_file, self._module = function.__code__.co_filename, function.__module__

    def get_cache_path(self) -> str | None:
        return folder_for(self._module)

    def get_source_stamp(self) -> tuple[object, ...]:
        return _stamp(self._module)

    def get_disambiguator(self) -> str:
        return ""  # no two kernels of a module share a name

    def ensure_cache_path(self) -> None:
        pass


class _Results(CompileResultCacheImpl):  # type: ignore[misc]
    """How a compiled kernel is packed and unpacked: as Numba does."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._lineno = function.__code__.co_firstlineno
        self._locator = _Locator(function)
        self._filename_base = _base_name(function)


class _Files:
    """The files of one kernel: what the package brought, then what was compiled here."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._module, self._base = function.__module__, _base_name(function)
        self.folder = ""
        self._read: dict[tuple[Any, ...], tuple[str, Any]] = {}  # by holds(), for load()

    def load(self, key: tuple[Any, ...]) -> Any:
        """Return the packed form for a key of Numba's; None where none is kept."""
        if key in self._read:
            self.folder, data = self._read.pop(key)
            return data
        for index in self._indexes():
            if (data := index.load(key)) is not None:
                self.folder = index.folder
                return data
        return None

    def save(self, key: tuple[Any, ...], data: Any) -> None:
        """Keep a packed form; a disk that is full, or read-only by now, is no reason to fail."""
        if folder := folder_for(self._module):
            self.folder = folder
            with suppress(OSError):
                _Index(folder, self._base, _stamp(self._module)).save(key, data)

    def holds(self, made_for: tuple[Any, ...]) -> bool:
        """Is there a whole form that was made for this: the CPU, and the bytecode of the kernel?"""
        for index in self._indexes():
            for key in index.keys_for(made_for):
                if (data := index.load(key)) is not None:
                    self._read[key] = index.folder, data
                    return True
        return False

    def flush(self) -> None:
        """Forget what was compiled here."""
        if folder := folder_for(self._module):
            _Index(folder, self._base, _stamp(self._module)).flush()

    def _indexes(self) -> Iterator[_Index]:
        # The second folder is made when it is asked for: not before the first has been of no use.
        for find in (shipped_folder, folder_for):
            if folder := find(self._module):
                yield _Index(folder, self._base, _stamp(self._module))


class _Index(IndexDataCacheFile):  # type: ignore[misc]
    """The index of one kernel in one folder, and the forms that it leads to."""

    def __init__(self, folder: str, base: str, stamp: tuple[object, ...]) -> None:
        super().__init__(folder, base, stamp)
        self.folder, self._base = folder, base

    def save(self, key: tuple[Any, ...], data: Any) -> None:
        """Keep a form in a file that no other form has.

        Numba counts the files, and two processes that compile for different types at once take the
        same number: the index of one then leads to the machine code of the other.
        """
        made_for = repr((self._version, self._source_stamp, key))
        name = f"{self._base}.{hashlib.sha256(made_for.encode()).hexdigest()[:16]}.nbc"
        self._save_data(name, data)
        overloads = self._load_index()
        overloads[key] = name
        self._save_index(overloads)

    def keys_for(self, made_for: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return the keys, whatever their types are, of forms that were made for this."""
        return [key for key in self._load_index() if key[1:] == made_for]

    def _load_index(self) -> dict[tuple[Any, ...], str]:
        if not may_be_read(self._index_path):
            return {}
        try:
            found: dict[tuple[Any, ...], str] = super()._load_index()
        except Exception:  # whatever a pickle raises that has been cut
            return {}
        return found

    def _load_data(self, name: str) -> Any:
        if not may_be_read(self._data_path(name)):
            raise OSError(f"{name} may be of somebody else")  # load() takes it for a missing file
        try:
            return super()._load_data(name)
        except Exception as problem:
            raise OSError(f"{name} is damaged") from problem


def _base_name(function: Callable[..., Any]) -> str:
    python = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
    return f"{function.__qualname__}.{python}"


def _stamp(module: str) -> tuple[object, ...]:
    """Return what a form depends on beside what Numba puts into its index: its version, the CPU."""
    checks = (bool(config.BOUNDSCHECK), str(config.OPT), bool(config.DEBUGINFO_DEFAULT))
    return (name_of(module), llvmlite.__version__, *checks)
