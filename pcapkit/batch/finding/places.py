"""Where captures may lie: the files behind what a user names, before anybody looks into them.

Of every file its identity is taken, and nothing is opened: pipes and devices within folders never
are. Hidden files, and what lies in the output folder, are no inputs.
"""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pcapkit.batch.finding.failures import kind_of
from pcapkit.errors import DeniedInput, InputError, MissingInput, UnreachableInput, UsageError
from pcapkit.model.audits import Identity
from pcapkit.text import encodable, is_url, shown_path

#: What an audit keeps in its output folder beside the reports.
_KEPT = ("tallies", "records", "history")
#: One of these is in the folder of a report.
_OF_REPORT = ("report.html", "analysis.json", "report.md")

_Inode = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A file that may be a capture, or what cannot be looked into.

    ``named`` says that the user named it itself, not a folder around it; ``linked`` that a symbolic
    link leads to it.
    """

    path: str = field(repr=False)
    identity: Identity | None
    named: bool
    linked: bool = False
    error: str | None = None
    error_kind: str | None = None


def listed_in(from_file: str) -> list[str]:
    """Return the paths in a file, or in standard input for ``-``: one a line.

    Where there is a NUL, it separates them, as ``find -print0`` has it, and names may have lines.
    Raises UsageError where it cannot be read.
    """
    try:
        data = sys.stdin.buffer.read() if from_file == "-" else Path(from_file).read_bytes()
    except OSError as problem:
        raise UsageError(f"--from-file {from_file}: {problem.strerror}") from None
    if b"\0" in data:
        parts = data.split(b"\0")
    else:
        lines = data.split(b"\n")
        windows = all(line.endswith(b"\r") for line in lines if line)
        parts = [line.removesuffix(b"\r") if windows else line for line in lines]
    found = [os.fsdecode(part) for part in parts if part]
    if not found:
        name = "standard input" if from_file == "-" else encodable(from_file)
        raise UsageError(f"--from-file {encodable(from_file)}: no paths in {name}: one a line")
    return found


class Places:
    """Finds the files behind paths; ``skip`` is the output folder."""

    def __init__(self, skip: Path | None) -> None:
        self._output = _inode_at(skip) if skip is not None else None
        self._output_path = os.path.realpath(skip) if skip is not None else None
        kept = [_inode_at(skip / name) for name in _KEPT] if skip is not None else []
        self._left_out = {inode for inode in (self._output, *kept) if inode is not None}
        self._seen: set[_Inode] = set()  # folders
        #: hosts that did not answer: nobody waits for them again
        self._silent: dict[str, UnreachableInput] = {}
        #: whether anything that was named is there
        self.any_there = False

    def all_behind(self, paths: Sequence[str]) -> list[Place]:
        """Return the files behind all paths; many URLs are asked for at one time."""
        urls = [path for path in paths if is_url(path)]
        out = [place for path in paths if not is_url(path) for place in self.behind(path)]
        if urls:
            from pcapkit.ingest.inputs.remote import AT_ONCE

            with ThreadPoolExecutor(AT_ONCE) as pool:
                for found in pool.map(lambda url: list(self.behind(url)), urls):
                    out += found
        return out

    def behind(self, path: str) -> Iterator[Place]:
        """Yield the files behind one path of the user; what is wrong with it is one as well."""
        try:
            if is_url(path):
                yield from self._answered(path)
            elif path == "-":
                raise MissingInput(
                    path,
                    "an audit reads no capture from standard input",
                    hint="'pcapkit analyze -' does; --from-file - takes a list of paths",
                )
            elif os.path.lexists(path) or not glob.has_magic(path):
                yield from self._local(path, named=True)
            else:
                yield from self._matches(path)
        except InputError as problem:
            yield _failed(path, problem)

    def _local(self, path: str, *, named: bool) -> Iterator[Place]:
        try:
            status = os.stat(path)
        except OSError as problem:
            raise _unseen(path, problem) from None
        self.any_there = True
        if stat.S_ISDIR(status.st_mode):
            yield from self._below(path, status)
        elif stat.S_ISREG(status.st_mode):
            yield Place(path, _identity(status), named, os.path.islink(path))
        elif named:
            raise InputError(
                path, "is a pipe or a device", hint="an audit reads files; 'pcapkit analyze' both"
            )

    def _matches(self, pattern: str) -> Iterator[Place]:
        """Yield the files that a pattern matches. ``*`` for a whole name names no file itself."""
        named = os.path.basename(pattern).strip("*") != ""
        any_match = False
        for path in self._expanded(pattern):
            any_match = True
            if not self._is_output(path, pattern):
                yield from self._local(path, named=named)
        if not any_match:
            raise MissingInput(pattern, "nothing matches this pattern", hint="check the path")

    def _expanded(self, pattern: str) -> Iterator[str]:
        """Yield what a pattern matches; ``**`` is any folders, without going round in links."""
        before, mark, after = pattern.partition("**")
        if not mark or (before and not before.endswith("/")) or after[:1] not in ("", "/"):
            yield from sorted(glob.glob(pattern))
            return
        for start in sorted(glob.glob(before)) if before else ["."]:
            folders = [start] if not after.strip("/") else _folders(start)
            for folder in folders:
                inside = f"{glob.escape(os.path.join(folder, ''))}{after.lstrip('/')}"
                if after.strip("/"):
                    yield from self._expanded(inside.removeprefix("./"))
                elif os.path.isdir(folder):
                    yield folder

    def _is_output(self, path: str, pattern: str) -> bool:
        """Does a pattern that begins outside of the output folder match something in it?"""
        if self._output_path is None:
            return False
        base = os.path.realpath(glob.escape(pattern.partition("*")[0]).rpartition("/")[0] or ".")
        here = os.path.join(self._output_path, "")
        inside = os.path.join(os.path.realpath(os.path.dirname(path) or "."), "")
        is_kept = any(inside.startswith(f"{here}{name}/") for name in _KEPT)
        return is_kept or (inside.startswith(here) and not f"{base}/".startswith(here))

    def _below(self, root: str, status: os.stat_result) -> Iterator[Place]:
        """Yield the files below a folder. Links to folders are followed last, and each once."""
        left_out = self._left_out
        if (status.st_dev, status.st_ino) == self._output or self._is_within_output(root):
            left_out = left_out - {self._output}  # the user named it
        above = _folders_above(root)
        links: list[str] = []
        yield from self._walk(root, (status.st_dev, status.st_ino), left_out, links, linked=False)
        while links:
            link = links.pop(0)
            inode = _inode_at(Path(link))
            if inode is not None and inode not in above and inode not in left_out:
                yield from self._walk(link, inode, left_out, links, linked=True)

    def _is_within_output(self, folder: str) -> bool:
        if self._output_path is None:
            return False
        return os.path.realpath(folder).startswith(os.path.join(self._output_path, ""))

    def _walk(
        self,
        folder: str,
        inode: _Inode,
        left_out: set[_Inode | None] | set[_Inode],
        links: list[str],
        *,
        linked: bool,
    ) -> Iterator[Place]:
        waiting = [(folder, inode)]
        while waiting:
            here, inode = waiting.pop()
            if inode in self._seen:
                continue
            self._seen.add(inode)
            try:
                with os.scandir(here) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as problem:
                yield _failed(here, _unseen(here, problem))
                continue
            in_output = inode == self._output
            folders = []
            for entry in found:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink() and entry.is_dir():
                    links.append(entry.path)
                elif entry.is_dir(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    of_folder = (status.st_dev, status.st_ino)
                    if of_folder not in left_out and not (in_output and _is_report(entry.path)):
                        folders.append((entry.path, of_folder))
                elif entry.is_file() or entry.is_symlink():
                    yield from _file(entry, linked)
            waiting += reversed(folders)

    def _answered(self, url: str) -> Iterator[Place]:
        host = url.partition("://")[2].partition("/")[0]
        if (silent := self._silent.get(host)) is not None:
            raise UnreachableInput(url, silent.problem, hint=silent.hint)
        try:
            yield from self._remote(url)
        except UnreachableInput as problem:
            self._silent[host] = problem
            raise

    def _remote(self, url: str) -> Iterator[Place]:
        from pcapkit.ingest.inputs.remote import below, is_pattern, look_up, matching, with_versions

        if is_pattern(url):
            named = url.rpartition("/")[2].strip("*") != ""
            found = list(matching(url))
            if not found:
                raise MissingInput(url, "nothing matches this pattern", hint="check the address")
        else:
            at = look_up(url)
            named = not at.is_folder
            found = list(below(url)) if at.is_folder else [at]
            if not found and not url.lower().startswith("http"):
                raise MissingInput(url, "there is nothing in this folder", hint="check the address")
        self.any_there = True
        for file in with_versions(found):
            version = file.version
            known = version.tag or version.mtime_ns
            identity = (
                Identity(version.size or 0, version.mtime_ns, tag=version.tag) if known else None
            )
            yield Place(file.url, identity, named)


def _file(entry: os.DirEntry[str], linked: bool) -> Iterator[Place]:
    try:
        status = entry.stat()
    except OSError as problem:
        yield _failed(entry.path, _unseen(entry.path, problem), named=False)
        return
    if stat.S_ISREG(status.st_mode):
        path = entry.path.removeprefix("./")
        yield Place(path, _identity(status), False, linked or entry.is_symlink())


def _identity(status: os.stat_result) -> Identity:
    return Identity(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def _failed(path: str, problem: InputError, *, named: bool = True) -> Place:
    return Place(path, None, named, error=str(problem), error_kind=kind_of(problem))


def _unseen(path: str, problem: OSError) -> InputError:
    """Return what to raise for a path that cannot be looked at."""
    if isinstance(problem, PermissionError):
        return DeniedInput(path, "no permission to read it", hint="chown, or sudo")
    if isinstance(problem, (FileNotFoundError, NotADirectoryError)):
        if os.path.islink(path):
            return MissingInput(path, "a link that leads nowhere")
        return MissingInput(path, "no such file or folder", hint="check the path")
    return InputError(path, f"cannot be looked at: {problem.strerror}")


def _inode_at(path: Path) -> _Inode | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _folders_above(folder: str) -> set[_Inode]:
    """Return the folder and those that it lies in: a link to one of them leads round."""
    path = Path(os.path.realpath(folder))
    return {inode for at in (path, *path.parents) if (inode := _inode_at(at)) is not None}


def _folders(start: str) -> Iterator[str]:
    """Yield a folder and those below it, each once, hidden ones left out."""
    seen = _folders_above(start)
    waiting = [start]
    while waiting:
        here = waiting.pop()
        yield here
        try:
            with os.scandir(here) as entries:
                found = sorted((e for e in entries if e.is_dir()), key=lambda e: e.name)
        except OSError:
            continue
        inside = []
        for entry in found:
            inode = _inode_at(Path(entry.path))
            if not entry.name.startswith(".") and inode is not None and inode not in seen:
                seen.add(inode)
                inside.append(entry.path)
        waiting += reversed(inside)


def _is_report(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, name)) for name in _OF_REPORT)


def shown_all(paths: Sequence[str]) -> str:
    """Return paths as one text, the first few of them."""
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return ", ".join(shown_path(path) for path in paths[:3]) + more
