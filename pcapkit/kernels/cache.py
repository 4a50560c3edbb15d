"""Where compiled kernels are kept between runs, and with them the page's templates.

Numba looks at a kernel's own file to see whether what it kept is still true. But a kernel is
compiled together with the helpers and the rows that its module imports, so here each module has a
folder named after the content of all that: a change anywhere in it, or another version of the
package, compiles anew, and never reads what does not fit.

A release wheel brings such folders inside the package (``deploy/build_wheel.py``): they are read
first, and never written. All else is kept beside the package; where that is read-only, in the
user's cache folder; where that is too (a container without a home), in a temporary one that lasts
as long as the process and those that it starts; where nothing can be written, nowhere.
``NUMBA_CACHE_DIR`` beats all of them but the wheel's.

What is kept is run. So it is only read from folders that nobody can write who could not change the
package as well, or this user's files: any other is passed over. So is a file of somebody else in
such a folder, as copying and unpacking leave them.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pcapkit.files import make_private, make_temporary

_PACKAGE = Path(__file__).resolve().parents[1]
#: Where definitions begin, and no imports come any more (ruff's E402 sees to that).
_FIRST_BLOCK = re.compile(r"\n\n\n(?=@|def |class )")
#: What is imported of the package when a module is loaded, as ruff formats it, and names in it.
_IMPORT = re.compile(r"^from (pcapkit[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)
_NAME = re.compile(r"\w+")
#: What a release wheel brings: a folder for each module, named as those that are made here.
_SHIPPED = _PACKAGE / "kernels" / "shipped"
_VARIABLE = "NUMBA_CACHE_DIR"
#: Names the temporary folder to the processes that this one starts. Not by Numba's variable: Numba
#: reads its whole configuration again when one of its variables changes, and forgets ``jit``'s.
_HANDED_ON = "PCAPKIT_TEMPORARY_KERNELS"
_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
#: The folder that goes with the process which made it, and what is open to keep it.
_temporary: dict[int, tuple[int, Path]] = {}
_making = threading.Lock()


def shipped_folder(module: str) -> str | None:
    """Return the folder of what the package brought compiled of a module, if it fits the module."""
    folder = _SHIPPED / name_of(module)
    return str(folder) if _is_as_safe_as_package(_SHIPPED, folder) else None


@cache
def name_of(module: str) -> str:
    """Return the name of the folder for a module of the package, which says what is in it."""
    content = "".join(f"{name} {_digest(name)}\n" for name in sorted(_closure(module)))
    return f"{module}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def folder_for(module: str) -> str | None:
    """Return the folder for what a module of the package compiles, made where it is new.

    None where nothing can be written, not even a temporary file.
    """
    leaf = name_of(module)
    for place in _places():
        new = not os.path.lexists(place / leaf)
        # Numba makes folders in it by the umask, which may let others write them: none gets so far.
        if _is_safe(place / leaf, mode=0o700):
            break
    else:
        new = False
        try:
            place = _temporary_place()
            (place / leaf).mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
    if new:
        for older in place.glob(f"{module}-*"):
            if older.name != leaf:  # which another first run may be filling already
                shutil.rmtree(older, ignore_errors=True)
    return str(place / leaf)


def may_be_read(path: str) -> bool:
    """Can nobody have written this file, in one of these folders, who must not?

    A symbolic link is none. In a folder that others cannot enter, what the umask lets them do with
    a file does not count.
    """
    file = Path(path)
    if _PACKAGE in file.parents and _is_as_safe_as_package(file, kind=stat.S_ISREG):
        return True
    try:
        status, folder = file.lstat(), file.parent.lstat()
    except OSError:
        return False
    closed = not folder.st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    safe = stat.S_ISREG(status.st_mode) and status.st_uid in (0, os.geteuid())
    return safe and (closed or not status.st_mode & _BY_OTHERS)


@atexit.register
def remove_temporary() -> None:
    """Remove the temporary folder, if this process made one; Python does so on its way out."""
    if made := _temporary.pop(os.getpid(), None):
        shutil.rmtree(made[1], ignore_errors=True)
        os.close(made[0])


@cache
def _places() -> tuple[Path, ...]:
    """Return the folders that can be written, and by nobody who must not, the best one first."""
    named = os.environ.get(_VARIABLE)
    installed = _installed()
    places = [Path(named) / installed] if named else [_PACKAGE / "__pycache__" / "kernels"]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(home):  # a user without an entry in /etc/passwd has none
        places.append(Path(home) / "pcapkit" / installed)
    if handed_on := os.environ.get(_HANDED_ON):
        places.append(Path(handed_on) / installed)
    return tuple(place for place in places if _is_safe_place(place))


def _installed() -> str:
    """Return a name for this installation of the package, among others of the same user."""
    return hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:8]


def _is_safe_place(place: Path) -> bool:
    """Is this folder, in one that is ours as well, safe, and the way there? Both may be new."""
    around = place.parent
    if _PACKAGE not in place.parents:
        try:
            make_private(around.parent)
            way = Path(os.path.realpath(around.parent))
            if not all(_keeps_its_entries(folder) for folder in (way, *way.parents)):
                return False
        except OSError:
            return False
    mode = 0o755 if _PACKAGE in place.parents else 0o700
    if not _is_safe(around, mode=mode) or not _is_safe(place, mode=mode):
        return False
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError:
        return False
    return True


def _is_safe(folder: Path, *, mode: int) -> bool:
    """Can this folder, made where it is new, be written by us and by nobody who must not?

    A symbolic link is none. Whoever may write the package's own folder may write in it, too.
    """
    try:
        try:
            folder.mkdir(mode)
        except FileExistsError:
            pass
        if _PACKAGE in folder.parents:
            safe = _is_as_safe_as_package(folder)
        else:
            status = folder.lstat()
            safe = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            safe = safe and not status.st_mode & _BY_OTHERS
    except OSError:
        return False
    return safe and os.access(folder, os.W_OK | os.X_OK)


def _is_as_safe_as_package(*paths: Path, kind: Callable[[int], bool] = stat.S_ISDIR) -> bool:
    """Can nobody write these folders in the package who could not change the package as well?"""
    try:
        package = _PACKAGE.stat()
        for path in paths:
            status, others = path.lstat(), package.st_mode & _BY_OTHERS
            if package.st_gid != status.st_gid:
                others &= ~stat.S_IWGRP
            if not kind(status.st_mode) or status.st_mode & _BY_OTHERS & ~others:
                return False
            if status.st_uid not in (0, os.geteuid(), package.st_uid):
                return False
    except OSError:
        return False
    return True


def _keeps_its_entries(folder: Path) -> bool:
    """Can nobody but this user and root put another folder in the place of one in this?"""
    status = folder.stat()
    closed = not status.st_mode & _BY_OTHERS or status.st_mode & stat.S_ISVTX
    return bool(closed) and status.st_uid in (0, os.geteuid())


def _temporary_place() -> Path:
    """Return a folder that goes with this process, or with the one that this is a copy of."""
    with _making:
        if not _temporary:
            _temporary[os.getpid()] = make_temporary("kernels")
        [(_, folder)] = _temporary.values()
        os.environ[_HANDED_ON] = str(folder)
        return folder / _installed()


@cache
def _source(module: str) -> str:
    """Return the text of a module of the package; empty where it names none."""
    path = _PACKAGE.joinpath(*module.split(".")[1:])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return ""


@cache
def _digest(module: str) -> str:
    return hashlib.sha256(_source(module).encode()).hexdigest()


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Return what a module imports of the package when it is loaded, modules or what is in them."""
    found = []
    head = _FIRST_BLOCK.split(_source(module), maxsplit=1)[0]
    for home, names in _IMPORT.findall(head):  # by ast it takes five times as long
        found += [home, *(f"{home}.{name}" for name in _NAME.findall(names))]
    return tuple(name for name in found if _source(name))


def _closure(module: str) -> set[str]:
    """Return a module and all modules of the package that it imports, and those that they do."""
    found, waiting = set(), [module]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _imports(name)
    return found
