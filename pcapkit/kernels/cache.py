"""Where compiled kernels are kept between runs, and with them the page's templates.

Numba looks at a kernel's own file to see whether what it kept is still true. But a kernel is
compiled together with the helpers and the rows that its module imports, so here each module has a
folder named after the content of all that: a change anywhere in it, or another version of the
package, compiles anew, and never reads what does not fit.

The folder is beside the package; where that is read-only, in the user's cache folder; where that is
too (a container without a home), in a temporary one that lasts as long as the process and those
that it starts. ``NUMBA_CACHE_DIR`` beats all of them.
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import os
import re
import shutil
import tempfile
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
#: Where definitions begin, and no imports come any more (ruff's E402 sees to that).
_FIRST_BLOCK = re.compile(r"\n\n\n(?=@|def |class )")
_VARIABLE = "NUMBA_CACHE_DIR"
#: The folder that goes with the process which made it.
_temporary: dict[int, str] = {}


def folder_for(module: str) -> str:
    """Return the folder for what a module of the package compiles, made where it is new."""
    content = "".join(f"{name} {_digest(name)}\n" for name in sorted(_closure(module)))
    folder = _base() / f"{module}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for older in folder.parent.glob(f"{module}-*"):
            if older != folder:  # which another first run may be filling already
                shutil.rmtree(older, ignore_errors=True)
    return str(folder)


@atexit.register
def remove_temporary() -> None:
    """Remove the temporary folder, if this process made one; Python does so on its way out."""
    if folder := _temporary.pop(os.getpid(), None):
        shutil.rmtree(folder, ignore_errors=True)


@cache
def _base() -> Path:
    """Return the first folder that can be written."""
    named = os.environ.get(_VARIABLE)
    installed = hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:8]
    candidates = [Path(named) / installed] if named else [_PACKAGE / "__pycache__" / "kernels"]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(home):  # a user without an entry in /etc/passwd has none
        candidates.append(Path(home) / "pcapkit" / installed)
    for candidate in candidates:
        try:
            candidate.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=candidate).close()
        except OSError:
            continue
        return candidate
    folder = tempfile.mkdtemp(prefix="pcapkit-kernels-")
    os.environ[_VARIABLE] = folder  # for the processes that this one starts
    _temporary[os.getpid()] = folder
    return Path(folder) / installed


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
    head = _FIRST_BLOCK.split(_source(module), maxsplit=1)[0]  # all else takes ten times as long
    for node in ast.parse(head).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pcapkit"):
            found += [str(node.module), *(f"{node.module}.{name.name}" for name in node.names)]
    return tuple(name for name in found if _source(name))


def _closure(module: str) -> set[str]:
    """Return a module and all modules of the package that it imports, and those that they do."""
    found, waiting = set(), [module]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _imports(name)
    return found
