"""Small files read as text; files and folders that appear whole or not at all.

Whatever is written waits beside its place until it is whole, in a file or folder named after it,
``.NAME.1.pcapkit``, and takes that place in one step. It is locked (flock(2)) for as long as its
process lives, so that what a killed one has left is known, and removed by the next that writes
there; see ``sweep``.
"""

from __future__ import annotations

import ctypes
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path
from types import FrameType
from typing import IO, Protocol, TypeVar

from pcapkit.errors import InputError

#: A name of what waits: that of its place, a number, and whether it stood there before.
_WAITING = re.compile(r"\.(?P<name>.+)\.[1-9]\d*(?P<before>\.before)?\.pcapkit", re.DOTALL)
#: A file's name has at most 255 bytes on most file systems.
_NAME_BYTES = 225
#: Numbers past the first free one under which somebody who was killed may have left something.
_MORE_NUMBERS = 3
#: Of renameat2(2): linux/fs.h, linux/fcntl.h.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
#: What those say that know no such renaming: a file system, a kernel.
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
#: What a renaming says where there is something else by now.
_OCCUPIED = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)
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

    ``mode`` are its permissions, None those of any new file. ``name`` is asked at the end what the
    file is called instead, beside ``path``. Pipes and devices are written as they stand: nothing
    takes their place.
    """
    try:
        if _is_stream(path):
            with path.open("wb") as stream:
                yield stream
            return
        with _parents_of(path), _claims() as claim:
            out, waiting = claim(path, lambda new: _new_file(new, mode))
            yield out
            _settle(out)
            os.replace(waiting, path if name is None else path.with_name(name()))
    except OSError as problem:
        raise InputError(str(path), f"cannot be written: {problem.strerror}") from None


@contextmanager
def files_at_once(label: str) -> Iterator[Callable[[Path, int | None], IO[bytes]]]:
    """Give a function that opens a new file for a path and its permissions; when the block ends
    well, all take their places, one right after the other. Until then all is as it was.

    What the function raises is an OSError; InputError is raised where a file cannot be written.
    """
    opened: list[tuple[IO[bytes], Path, Path]] = []
    try:
        with ExitStack() as around, _claims() as claim:

            def begin(path: Path, mode: int | None) -> IO[bytes]:
                around.enter_context(_parents_of(path))
                out, waiting = claim(path, lambda new: _new_file(new, mode))
                opened.append((out, waiting, path))
                return out

            yield begin
            for out, _, _ in opened:
                _settle(out)
            with _unbroken():
                for _, waiting, path in opened:
                    os.replace(waiting, path)
    except OSError as problem:
        raise InputError(label, f"cannot be written: {problem.strerror}") from None


def atomic_write(path: Path, data: bytes) -> None:
    """Write ``path`` as a whole; what stood there stays until then. Raises InputError."""
    with whole_file(path) as out:
        out.write(data)


def _is_stream(path: Path) -> bool:
    """Is this a pipe, a device, or a name for what a process has open, as /dev/stdout is?"""
    if path.absolute().parts[1:2] in (("dev",), ("proc",)):
        return True
    try:
        kind = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISCHR(kind) or stat.S_ISSOCK(kind)


def _new_file(path: Path, mode: int | None) -> IO[bytes]:
    """Make a file of these permissions, or of any new file's, and open it."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    out = os.fdopen(os.open(path, flags, 0o666 if mode is None else 0o600), "w+b")
    if mode is not None:
        os.fchmod(out.fileno(), mode)
    return out


def _settle(out: IO[bytes]) -> None:
    """Have all that was written accepted: a disk that is full says so before anything is replaced.

    That of a server says so when a file is closed.
    """
    out.flush()
    os.close(os.dup(out.fileno()))


# ---- folders ----------------------------------------------------------------------------------


@contextmanager
def whole_folder(
    folder: Path, is_own: Callable[[str], bool], stays: Callable[[str], bool]
) -> Iterator[Callable[[str], IO[bytes]]]:
    """Give a function that opens a new file in ``folder``; all of them appear in one step, when the
    block ends well. Raises InputError where one cannot be written: then all is as it was.

    One file is written at a time: the next one ends it. ``is_own`` knows names of files that are
    written here; all others are the user's, and stay. Of the own ones of before those stay of which
    ``stays``, asked at the end, says so.

    The folder takes the place of the other by an exchange of their names (renameat2(2)). Where a
    file system has none (NFS), the other one steps aside first: a kill between the two leaves it
    there, and ``sweep`` puts it back.
    """
    try:
        with _parents_of(folder), _claims(is_own) as claim:
            new, waiting = claim(folder, _NewFolder)
            yield new.begin
            new.end()
            assert all(map(is_own, new.names))  # else they would count as the user's
            with _unbroken():
                _take_place(waiting, folder, new.names, is_own, stays)
    except OSError as problem:
        raise InputError(str(folder), f"cannot be written: {problem.strerror}") from None


class _NewFolder:
    """A folder that nobody else may look into yet, and the files that are written in it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(0o700)
        self.names: list[str] = []
        self._path = path
        self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._file: IO[bytes] | None = None

    def fileno(self) -> int:
        return self._handle

    def begin(self, name: str) -> IO[bytes]:
        """Open a new file; the one before is whole by now."""
        self.end()
        self._file = (self._path / name).open("xb")
        self.names.append(name)
        return self._file

    def end(self) -> None:
        """Have the last file whole."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def close(self) -> None:
        try:
            self.end()
        finally:
            os.close(self._handle)


def _take_place(
    waiting: Path,
    folder: Path,
    names: Sequence[str],
    is_own: Callable[[str], bool],
    stays: Callable[[str], bool],
) -> None:
    """Put the new folder ``waiting``, in which ``names`` were written, in the place of ``folder``.

    What the user has in the other goes along.
    """
    with _held(folder) as status:
        if status is not None:
            _replace(waiting, folder, status, names, is_own, stays)
            return
        special = stat.S_IMODE(waiting.stat().st_mode) & ~0o777  # as the folder around has it
        waiting.chmod(special | 0o777 & ~_umask())
        try:
            os.rename(waiting, folder)
            return
        except OSError as problem:
            if problem.errno not in _OCCUPIED:
                raise
    _take_place(waiting, folder, names, is_own, stays)  # which there is by now


def _replace(
    waiting: Path,
    folder: Path,
    status: os.stat_result,
    names: Sequence[str],
    is_own: Callable[[str], bool],
    stays: Callable[[str], bool],
) -> None:
    if stat.S_ISDIR(status.st_mode):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        _share_entries(folder, waiting, names, is_own, stays)
        with suppress(PermissionError):
            os.chown(waiting, status.st_uid, status.st_gid)
        waiting.chmod(stat.S_IMODE(status.st_mode))
    elif not stat.S_ISLNK(status.st_mode):  # a link is replaced, and not followed
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if not _exchanged(waiting, folder):
        aside = waiting.with_suffix(f".before{waiting.suffix}")
        os.rename(folder, aside)
        try:
            os.rename(waiting, folder)
        except OSError:
            os.rename(aside, folder)
            raise
        waiting = aside
    _dissolve(waiting, folder, is_own)


@contextmanager
def _held(folder: Path) -> Iterator[os.stat_result | None]:
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
        if _is_at(handle, folder):
            break
        os.close(handle)
    try:
        yield folder.lstat() if os.path.lexists(folder) else None
    finally:
        if handle is not None:
            os.close(handle)


def _share_entries(
    old: Path,
    new: Path,
    names: Sequence[str],
    is_own: Callable[[str], bool],
    stays: Callable[[str], bool],
) -> None:
    """Let what stays of an old folder be in the new one, too, as second names of the same files.

    What a file system has no second name for follows with ``_dissolve``.
    """
    with os.scandir(old) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name in names:
                    raise IsADirectoryError(errno.EISDIR, f"{entry.name} in it is a folder")
                _share(entry, new)
            elif _WAITING.fullmatch(entry.name) or entry.name in names:
                continue
            elif not is_own(entry.name) or stays(entry.name):
                _share(entry, new)


def _share(entry: os.DirEntry[str], folder: Path) -> None:
    there = folder / entry.name
    with suppress(OSError):
        if not entry.is_dir(follow_symlinks=False):
            os.link(entry.path, there, follow_symlinks=False)
            return
        there.mkdir(0o700)
        with os.scandir(entry) as inside:
            for each in inside:
                _share(each, there)
        status = entry.stat(follow_symlinks=False)
        with suppress(PermissionError):
            os.chown(there, status.st_uid, status.st_gid)
        shutil.copystat(entry.path, there)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange the names of two folders; False where this system, or file system, cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number))


def _dissolve(gone: Path, folder: Path, is_own: Callable[[str], bool]) -> None:
    """Remove a folder that has lost its place, or never had it; what is the user's, and ``folder``
    lacks, goes there. What cannot be removed stays.
    """
    with suppress(OSError):
        if gone.is_symlink():
            gone.unlink()
            return
        for entry in list(os.scandir(gone)):
            there = folder / entry.name
            is_ours = is_own(entry.name) or _WAITING.fullmatch(entry.name) is not None
            with suppress(OSError):
                is_folder = entry.is_dir(follow_symlinks=False)
                if not is_ours and folder.is_dir() and not os.path.lexists(there):
                    os.rename(entry.path, there)
                elif is_folder:
                    _dissolve(Path(entry.path), there, lambda name: False)
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
        with suppress(OSError):
            if self in _begun and _is_at(self.out.fileno(), self.waiting):
                if self.waiting.is_dir():
                    _dissolve(self.waiting, self.path, self.is_own)
                else:
                    self.waiting.unlink()
        self.close()

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
def _claims(is_own: Callable[[str], bool] = lambda name: False) -> Iterator[_Claim]:
    """Give ``_claimed``; where the block fails, all that it made and that still waits is removed.

    A signal finds what is made either known here or not there yet.
    """
    made: list[_Begun] = []

    def claim(path: Path, make: Callable[[Path], _Made], /) -> tuple[_Made, Path]:
        with _unbroken():
            out, waiting = _claimed(path, make, is_own)
            made.append(_Begun(out, waiting, path, is_own))
            _begun.append(made[-1])
        return out, waiting

    try:
        yield claim
    except BaseException:
        with _unbroken():
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
        if _locked(made.fileno()) and not _is_at(made.fileno(), waiting):
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
        found = [(e, m) for e in os.scandir(folder) if (m := _WAITING.fullmatch(e.name))]
    except OSError:
        return
    for entry, match in found:
        path, place = Path(entry.path), folder / match["name"]
        if match["before"] and not os.path.lexists(place):
            with suppress(OSError), _held(path):
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
        if status.st_uid != os.geteuid() or not _locked(handle) or not _is_at(handle, waiting):
            return False
        if stat.S_ISDIR(status.st_mode):
            _dissolve(waiting, path, is_own)
        elif stat.S_ISREG(status.st_mode):
            waiting.unlink()
    except OSError:
        return False
    finally:
        os.close(handle)
    return not os.path.lexists(waiting)


def _locked(handle: int) -> bool:
    """Lock what is open, for as long as it is; False where another process has, or none can."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Is what is open still what the path leads to?"""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except OSError:
        return False


@contextmanager
def _parents_of(path: Path) -> Iterator[None]:
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
def _unbroken() -> Iterator[None]:
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


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


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
        if not _locked(handle) or _is_at(handle, folder):
            return handle, folder
        os.close(handle)
