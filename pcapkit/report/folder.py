"""A folder of new files that takes the place of an older one, in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from pcapkit.errors import InputError
from pcapkit.files import WAITING, claims, dissolve, held, parents_of, umask, unbroken

#: Of renameat2(2): linux/fs.h, linux/fcntl.h.
_RENAME_EXCHANGE, _AT_FDCWD = 2, -100
#: What those say that know no such renaming: a file system, a kernel.
_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)
#: What a renaming says where there is something else by now.
_OCCUPIED = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


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
        with parents_of(folder), claims(is_own) as claim:
            new, waiting = claim(folder, _NewFolder)
            yield new.begin
            new.end()
            assert all(map(is_own, new.names))  # else they would count as the user's
            with unbroken():
                _take_place(waiting, folder, new.names, is_own, stays)
    except OSError as problem:
        raise InputError(str(folder), f"cannot be written: {problem.strerror}") from None


class _NewFolder:
    """A folder that nobody else may look into yet, and the files that are written in it."""

    def __init__(self, path: Path) -> None:
        path.mkdir(0o700)
        self.names: list[str] = []
        self._path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            path.rmdir()
            raise
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
    with held(folder) as status:
        if status is not None:
            _replace(waiting, folder, status, names, is_own, stays)
            return
        special = stat.S_IMODE(waiting.stat().st_mode) & ~0o777  # as the folder around has it
        waiting.chmod(special | 0o777 & ~umask())
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
    dissolve(waiting, folder, is_own)


def _share_entries(
    old: Path,
    new: Path,
    names: Sequence[str],
    is_own: Callable[[str], bool],
    stays: Callable[[str], bool],
) -> None:
    """Let what stays of an old folder be in the new one, too, as second names of the same files.

    What a file system has no second name for follows with ``dissolve``.
    """
    with os.scandir(old) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name in names:
                    raise IsADirectoryError(errno.EISDIR, f"{entry.name} in it is a folder")
                _share(entry, new)
            elif WAITING.fullmatch(entry.name) or entry.name in names:
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
