"""Small files read as text; files and folders that appear whole or not at all.

Whatever is written waits beside its place until it is whole, in a file or folder named after it,
``.NAME.1.pcapkit``, and takes that place in one step. It is locked (flock(2)) for as long as its
process lives, so that what a killed one has left is known, and removed by the next that writes
there; see ``sweep``. Nobody else may read it while it waits, whatever the umask.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from types import FrameType
from typing import IO, Protocol, TypeVar

from pcapkit.errors import InputError

#: A name of what waits: that of its place, a number, and whether it stood there before.
WAITING = re.compile(r"\.(?P<name>.+)\.[1-9]\d*(?P<before>\.before)?\.pcapkit", re.DOTALL)
#: A file's name has at most 255 bytes on most file systems.
_NAME_BYTES = 225
#: Numbers past the first free one under which somebody who was killed may have left something.
_MORE_NUMBERS = 3
#: What would end a process in the middle of a step.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _Open(Protocol):
    def fileno(self) -> int: ...

    def close(self) -> None: ...


_Made = TypeVar("_Made", bound=_Open)


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


# ---- files ------------------------------------------------------------------------------------


@contextmanager
def whole_file(
    path: Path, mode: int | None = None, *, name: Callable[[], str] | None = None
) -> Iterator[IO[bytes]]:
    """Open a file that appears at ``path`` when the block ends well; what stood there stays till
    then. Raises InputError where it cannot be written.

    ``mode`` are its permissions, None those of the file that it replaces, or of any new file.
    ``name`` is asked at the end what the file is called instead, beside ``path``. Pipes and devices
    are written as they stand: nothing takes their place.
    """
    try:
        if is_stream(path):
            with path.open("wb") as stream:
                yield stream
            return
        with parents_of(path), claims() as claim:
            out, waiting = claim(path, _new_file)
            yield out
            place = path if name is None else path.with_name(name())
            _settle(out, place, mode)
            os.replace(waiting, place)
    except OSError as problem:
        raise InputError(str(path), f"cannot be written: {problem.strerror}") from None


@contextmanager
def files_at_once(label: str) -> Iterator[Callable[[Path, int | None], IO[bytes]]]:
    """Give a function that opens a new file for a path and its permissions (see ``whole_file``);
    when the block ends well, all take their places, one right after the other. Until then all is as
    it was.

    What the function raises is an OSError; InputError is raised where a file cannot be written.
    """
    opened: list[tuple[IO[bytes], Path, Path, int | None]] = []
    try:
        with ExitStack() as around, claims() as claim:

            def begin(path: Path, mode: int | None) -> IO[bytes]:
                around.enter_context(parents_of(path))
                out, waiting = claim(path, _new_file)
                opened.append((out, waiting, path, mode))
                return out

            yield begin
            for out, _, path, mode in opened:
                _settle(out, path, mode)
            with unbroken():
                for _, waiting, path, _ in opened:
                    os.replace(waiting, path)
    except OSError as problem:
        raise InputError(label, f"cannot be written: {problem.strerror}") from None


def atomic_write(path: Path, data: bytes, mode: int | None = None) -> None:
    """Write ``path`` as a whole; what stood there stays until then. Raises InputError."""
    with whole_file(path, mode) as out:
        out.write(data)


def is_stream(path: Path) -> bool:
    """Is this a pipe, a device, or a name for what a process has open, as /dev/stdout is?"""
    if path.absolute().parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or stat.S_ISSOCK(kind)


def _new_file(path: Path) -> IO[bytes]:
    """Make a file that nobody else may read yet, and open it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "w+b")


def _settle(out: IO[bytes], place: Path, mode: int | None) -> None:
    """Have all that was written accepted: a disk that is full says so before anything is replaced.

    That of a server says so when a file is closed. The file gets its permissions.
    """
    out.flush()
    os.close(os.dup(out.fileno()))
    if mode is not None:
        os.fchmod(out.fileno(), mode)
        return
    usual = 0o666 & ~umask()
    with suppress(OSError):  # nothing stands there
        before = place.lstat().st_mode
        usual = before & 0o777 if stat.S_ISREG(before) else usual
    with suppress(PermissionError):  # a file system without permissions
        os.fchmod(out.fileno(), usual)


def umask() -> int:
    """Return the umask; files that another thread makes in that moment are for this user alone."""
    current = os.umask(0o077)
    os.umask(current)
    return current


def make_private(folder: Path) -> None:
    """Make a folder and those that lead to it; what is new is for this user alone."""
    for each in reversed(list(takewhile(lambda f: not f.exists(), (folder, *folder.parents)))):
        with suppress(FileExistsError):
            each.mkdir(0o700)


def dissolve(gone: Path, folder: Path, is_own: Callable[[str], bool]) -> None:
    """Remove a folder that has lost its place, or never had it; what is the user's, and ``folder``
    lacks, goes there. What cannot be removed stays.
    """
    with suppress(OSError):
        if gone.is_symlink():
            gone.unlink()
            return
        for entry in list(os.scandir(gone)):
            there = folder / entry.name
            is_ours = is_own(entry.name) or WAITING.fullmatch(entry.name) is not None
            with suppress(OSError):
                is_folder = entry.is_dir(follow_symlinks=False)
                if not is_ours and folder.is_dir() and not os.path.lexists(there):
                    os.rename(entry.path, there)
                elif is_folder:
                    dissolve(Path(entry.path), there, lambda name: False)
                else:
                    os.unlink(entry.path)
        gone.rmdir()


# ---- what waits, and who ---------------------------------------------------------------------


class _Claim(Protocol):
    def __call__(self, path: Path, make: Callable[[Path], _Made], /) -> tuple[_Made, Path]: ...


@dataclass(eq=False, slots=True)
class _Begun:
    """What this process has made, where it waits, and for which place."""

    out: _Open
    waiting: Path
    path: Path
    is_own: Callable[[str], bool]

    def drop(self) -> None:
        """Remove it, where it still waits."""
        still = False
        with suppress(OSError):
            still = self in _begun and is_at(self.out.fileno(), self.waiting)
        self.close()  # first: to look into a folder takes one more open file
        with suppress(OSError):
            if still and self.waiting.is_dir():
                dissolve(self.waiting, self.path, self.is_own)
            elif still:
                self.waiting.unlink()

    def close(self) -> None:
        if self in _begun:
            _begun.remove(self)
            with suppress(OSError):  # what a full disk did not take
                self.out.close()


_begun: list[_Begun] = []


def drop_begun() -> None:
    """Remove what is still begun, for a process that is about to leave: an interrupt may come
    between a block and its end, so that neither sees it.
    """
    for each in list(_begun):
        each.drop()


@contextmanager
def claims(is_own: Callable[[str], bool] = lambda name: False) -> Iterator[_Claim]:
    """Give ``_claimed``; where the block fails, all that it made and that still waits is removed.

    A signal finds what is made either known here or not there yet.
    """
    made: list[_Begun] = []

    def claim(path: Path, make: Callable[[Path], _Made], /) -> tuple[_Made, Path]:
        with unbroken():
            out, waiting = _claimed(path, make, is_own)
            made.append(_Begun(out, waiting, path, is_own))
            _begun.append(made[-1])
        return out, waiting

    try:
        yield claim
    except BaseException:
        with unbroken():
            for each in made:
                each.drop()
        raise
    for each in made:
        each.close()


def _claimed(
    path: Path, make: Callable[[Path], _Made], is_own: Callable[[str], bool]
) -> tuple[_Made, Path]:
    """Make what is to take the place of ``path``, locked, under a name of its own beside it.

    What killed processes have left under such names is removed.
    """
    name = os.fsdecode(os.fsencode(path.name)[:_NAME_BYTES])
    for number in count(1):
        waiting = path.with_name(f".{name}.{number}.pcapkit")
        if os.path.lexists(waiting) and not _cleared(waiting, path, is_own):
            continue
        try:
            made = make(waiting)
        except FileExistsError:  # another process was faster
            continue
        if _locked(made.fileno()) and not is_at(made.fileno(), waiting):
            made.close()  # it was taken for a killed one's
            continue
        for more in range(number + 1, number + 1 + _MORE_NUMBERS):
            _cleared(path.with_name(f".{name}.{more}.pcapkit"), path, is_own)
        return made, waiting
    raise AssertionError  # numbers never end


def sweep(folder: Path, is_own: Callable[[str], bool] = lambda name: False) -> None:
    """Remove what killed processes of this user have begun to write in ``folder``.

    A folder that had to step aside, and whose place is empty, is put back; see ``whole_folder``.
    """
    try:
        found = [(e, m) for e in os.scandir(folder) if (m := WAITING.fullmatch(e.name))]
    except OSError:
        return
    for entry, match in found:
        path, place = Path(entry.path), folder / match["name"]
        if match["before"] and not os.path.lexists(place):
            with suppress(OSError), held(path) as status:
                if status is not None and status.st_uid == os.geteuid():
                    os.rename(path, place)
        else:
            _cleared(path, place, is_own)


def _cleared(waiting: Path, path: Path, is_own: Callable[[str], bool]) -> bool:
    """Remove what waits for the place ``path``, unless its process lives; is nothing there now?"""
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        handle = os.open(waiting, flags)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        status = os.fstat(handle)
        if status.st_uid != os.geteuid() or not _locked(handle) or not is_at(handle, waiting):
            return False
        if stat.S_ISDIR(status.st_mode):
            dissolve(waiting, path, is_own)
        elif stat.S_ISREG(status.st_mode):
            waiting.unlink()
    except OSError:
        return False
    finally:
        os.close(handle)
    return not os.path.lexists(waiting)


@contextmanager
def held(folder: Path) -> Iterator[os.stat_result | None]:
    """Keep others from replacing what is at ``folder`` now; give its status, None for nothing."""
    handle: int | None
    while True:
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            handle = None
        except OSError as problem:
            if problem.errno != errno.ELOOP:  # of a symbolic link
                raise
            handle = None
        if handle is None:
            break
        with suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        if is_at(handle, folder):
            break
        os.close(handle)
    try:
        yield folder.lstat() if os.path.lexists(folder) else None
    finally:
        if handle is not None:
            os.close(handle)


def _locked(handle: int) -> bool:
    """Lock what is open, for as long as it is; False where another process has, or none can."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def is_at(handle: int, path: Path) -> bool:
    """Is what is open still what the path leads to?"""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


@contextmanager
def parents_of(path: Path) -> Iterator[None]:
    """Make the folders that lead to a path; those that are new go again where the block fails."""
    made: list[Path] = []
    try:
        for folder in reversed(list(takewhile(lambda f: not f.exists(), path.parents))):
            with suppress(FileExistsError):
                folder.mkdir()
                made.append(folder)
        yield
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):  # something else was put there meanwhile
                folder.rmdir()
        raise


@contextmanager
def unbroken() -> Iterator[None]:
    """Let the signals that would break off the block come after it.

    Those that end the process at once still do: what is left then is swept.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # to which no signal comes
        return
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {n: handler for n in _ENDING if callable(handler := signal.getsignal(n))}
    for waits in before:
        signal.signal(waits, note)
    try:
        yield
    finally:
        for waits, handler in before.items():
            signal.signal(waits, handler)
        for first in came[:1]:
            signal.raise_signal(first)


# ---- folders for a while ----------------------------------------------------------------------


@contextmanager
def temporary_folder(kind: str) -> Iterator[Path]:
    """Give a new folder for temporary files, for this user alone; it goes with the block.

    ``kind`` names it, beside the package. Those of killed processes are removed.
    """
    handle, folder = make_temporary(kind)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def make_temporary(kind: str) -> tuple[int, Path]:
    """Make such a folder; it is this process's for as long as the handle is open."""
    prefix = f"pcapkit-{kind}-"
    for other in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):
            handle = os.open(other, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(handle).st_uid == os.geteuid() and _locked(handle):
                    shutil.rmtree(other, ignore_errors=True)
            finally:
                os.close(handle)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        if not _locked(handle) or is_at(handle, folder):
            return handle, folder
        os.close(handle)
