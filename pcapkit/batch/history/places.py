"""Where a history is: a folder, or a URL that fsspec knows; files there appear whole or not at all.

An object store shows an object when all of it was put. Elsewhere a file is written under another
name, and renamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pcapkit.errors import InputError, UsageError
from pcapkit.files import atomic_write

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_USER = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+://)[^/@]*@")
#: Their put of an object is whole or not at all.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "memory"})


def is_url(text: str) -> bool:
    """Is this no path of the local file system?"""
    found = _URL.match(text)
    return found is not None and found[1].lower() != "file"


def _said(problem: Exception) -> str:
    """Return the text of somebody else's error, whose URLs may hold secrets."""
    text = " ".join(without_secrets(word) for word in str(problem).split())
    return f"{type(problem).__name__}: {text}" if text else type(problem).__name__


def without_secrets(text: str) -> str:
    """Return a path; of a URL without the user, the password and the query, which sign it."""
    if not _URL.match(text):
        return text
    return _USER.sub(r"\1", text).partition("?")[0].partition("#")[0]


class Place(Protocol):
    """A folder of files, named by paths below it with ``/``."""

    name: str  #: what messages call it

    def paths(self) -> list[str]:
        """Return the paths of all files of runs, in order. Raises InputError."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's bytes. Raises InputError."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Write a file as a whole. Raises InputError."""
        ...


def place_of(where: str | Path) -> Place:
    """Return a folder or URL as a place; raises UsageError where no package can reach it."""
    text = str(where)
    if is_url(text):
        return _Remote(text)
    return _Folder(Path(text.removeprefix("file://")))


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root, self.name = root, str(root)

    def paths(self) -> list[str]:
        try:
            found = sorted(self._root.glob("history/v1/date=*/*.parquet"))
        except OSError as problem:
            raise InputError(self.name, f"cannot be read: {problem.strerror}") from None
        return [
            p.relative_to(self._root).as_posix()
            for p in found
            if not p.name.startswith(".") and p.is_file()
        ]

    def read(self, path: str) -> bytes:
        try:
            return (self._root / path).read_bytes()
        except OSError as problem:
            raise InputError(
                str(self._root / path), f"cannot be read: {problem.strerror}"
            ) from None

    def write(self, path: str, data: bytes) -> None:
        atomic_write(self._root / path, data)


class _Remote:
    def __init__(self, url: str) -> None:
        self.name = without_secrets(url).rstrip("/")
        protocol = url.partition("://")[0].lower()
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise UsageError(
                f"{self.name}: URLs need the extra 'remote': pip install 'pcapkit-dns[remote]'"
            ) from None
        try:
            self._files, root = url_to_fs(url, use_listings_cache=False)
        except ImportError as problem:
            raise UsageError(
                f"{self.name}: {_said(problem)}; pip install 'pcapkit-dns[remote]'"
            ) from None
        except ValueError as problem:
            raise UsageError(f"{self.name}: {_said(problem)}") from None
        self._root = str(root).rstrip("/")
        self._is_store = protocol in _OBJECT_STORES

    @contextmanager
    def _told(self, path: str, what: str) -> Iterator[None]:
        """Turn whatever the other side, or its library, raises into an InputError."""
        try:
            yield
        except InputError:
            raise
        except Exception as problem:
            name = f"{self.name}/{path}" if path else self.name
            raise InputError(name, f"cannot be {what}: {_said(problem)}") from None

    def paths(self) -> list[str]:
        with self._told("", "listed"):
            found: list[Any] = self._files.glob(f"{self._root}/history/v1/date=*/*.parquet")
        begin = len(self._root) + 1
        paths = sorted(str(p)[begin:] for p in found)
        return [p for p in paths if not p.rpartition("/")[2].startswith(".")]

    def read(self, path: str) -> bytes:
        with self._told(path, "read"):
            return bytes(self._files.cat_file(f"{self._root}/{path}"))

    def write(self, path: str, data: bytes) -> None:
        with self._told(path, "written"):
            target = f"{self._root}/{path}"
            if self._is_store:
                self._files.pipe_file(target, data)
                return
            folder, _, name = target.rpartition("/")
            self._files.makedirs(folder, exist_ok=True)
            beside = f"{folder}/.{name}.part"
            self._files.pipe_file(beside, data)
            self._files.mv(beside, target)
