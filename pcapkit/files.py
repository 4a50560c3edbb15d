"""Small files read as text, and files that appear whole or not at all."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from pcapkit.errors import InputError


def read_text(path: str) -> str:
    """Return the text of a small file, or of standard input for ``-``; raises InputError."""
    try:
        if path == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as problem:
        raise InputError(path, f"byte {problem.start} is no text", hint="check the path") from None
    except OSError as problem:
        raise InputError(
            path, f"cannot be read: {problem.strerror}", hint="check the path"
        ) from None


@contextmanager
def whole_file(
    path: Path, mode: int | None = None, *, name: Callable[[], str] | None = None
) -> Iterator[IO[bytes]]:
    """Open a file that appears at ``path`` when the block ends well; what stood there stays till
    then. Raises InputError where it cannot be written.

    ``mode`` are its permissions, None those of any new file. ``name`` is asked at the end what the
    file is called instead, beside ``path``. Pipes and devices are written as they stand: nothing
    takes their place.
    """
    try:
        if is_stream(path):
            with path.open("wb") as stream:
                yield stream
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, waiting = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as out:
                yield out
            os.chmod(waiting, 0o666 & ~_umask() if mode is None else mode)
            os.replace(waiting, path if name is None else path.with_name(name()))
        except BaseException:
            Path(waiting).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise InputError(str(path), f"cannot be written: {problem.strerror}") from None


def is_stream(path: Path) -> bool:
    """Is this a pipe, a device, or a name for what a process has open, as /dev/stdout is?"""
    if path.absolute().parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or stat.S_ISSOCK(kind)


@contextmanager
def whole_files(folder: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """Give a function that opens a file of a name in ``folder``; all appear when the block ends
    well, after the last of them has been written. Raises InputError where one cannot be.

    A folder that was not there before is not there afterwards, where the block fails.
    """
    was_there = folder.exists()
    opened: list[IO[bytes]] = []
    try:
        with ExitStack() as files:

            def begin(name: str) -> IO[bytes]:
                if opened:
                    opened[-1].flush()
                opened.append(files.enter_context(whole_file(folder / name)))
                return opened[-1]

            yield begin
            if opened:
                opened[-1].flush()
    except BaseException:
        if not was_there:
            with suppress(OSError):  # something else was put there meanwhile
                folder.rmdir()
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def atomic_write(path: Path, data: bytes) -> None:
    """Write ``path`` as a whole; what stood there stays until then. Raises InputError."""
    with whole_file(path) as out:
        out.write(data)
