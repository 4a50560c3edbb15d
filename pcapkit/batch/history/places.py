"""Where a history is: a folder, or a URL that fsspec knows; files there appear whole or not at all.

An object store shows an object when all of it was put. Elsewhere a file is written under another
name, and renamed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pcapkit.errors import DeniedInput, InputError, MissingInput
from pcapkit.files import atomic_write, sweep
from pcapkit.text import is_url, shown_path

T = TypeVar("T")
#: Elsewhere than in these a file is seen while it is written.
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl")


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
        sweep((self._root / path).parent)
        atomic_write(self._root / path, data)


class _Remote:
    def __init__(self, url: str) -> None:
        from pcapkit.ingest.inputs.remote_calls import file_system

        self._url, self.name = url.rstrip("/"), shown_path(url).rstrip("/")
        self._files, root = file_system(url)
        self._root = root.rstrip("/")
        self._is_store = url.partition("://")[0].lower() in _OBJECT_STORES

    def _called(self, path: str, work: Callable[[], T]) -> T:
        from pcapkit.ingest.inputs.remote_calls import called

        return called(f"{self._url}/{path}".rstrip("/"), work)

    def paths(self) -> list[str]:
        pattern = f"{self._root}/history/v1/date=*/*.parquet"
        try:
            found: list[Any] = self._called("", lambda: self._files.glob(pattern))
        except MissingInput:  # nothing was ever written there
            return []
        begin = len(self._root) + 1
        paths = sorted(str(p)[begin:] for p in found)
        return [p for p in paths if not p.rpartition("/")[2].startswith(".")]

    def read(self, path: str) -> bytes:
        place = f"{self._root}/{path}"
        return bytes(self._called(path, lambda: self._files.cat_file(place)))

    def write(self, path: str, data: bytes) -> None:
        try:
            self._called(path, lambda: self._written(f"{self._root}/{path}", data))
        except DeniedInput as problem:
            text = "no permission to write it"
            raise InputError(f"{self._url}/{path}", text, hint=problem.hint) from None

    def _written(self, target: str, data: bytes) -> None:
        if self._is_store:
            self._files.pipe_file(target, data)
            return
        folder, _, name = target.rpartition("/")
        self._files.makedirs(folder, exist_ok=True)
        beside = f"{folder}/.{name}.part"
        self._files.pipe_file(beside, data)
        self._files.mv(beside, target)
