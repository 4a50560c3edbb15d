"""Find captures by what is in them, never by how they are called."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcapkit.batch.failures import kind_of
from pcapkit.batch.looks import Identity, Looks
from pcapkit.errors import PcapkitError, UsageError
from pcapkit.ingest.inputs.formats import HEAD_BYTES, recognise
from pcapkit.ingest.inputs.source import open_source
from pcapkit.text import encodable

#: Files that call themselves captures are listed even where their content says otherwise.
_CALLED_CAPTURES = (".pcap", ".pcapng", ".cap", ".dmp")


@dataclass(frozen=True, slots=True)
class Item:
    """What is analysed as one capture: a file, an object, or a set of rotated files.

    ``paths`` are what is shown and kept of it: of URLs without passwords and signatures. Those of a
    set stand in the order of their first packets. ``sources`` are the same, to be opened and
    nothing else. ``identities`` are theirs, None where there is none. ``error`` says why it cannot
    be analysed, ``error_kind`` in one word of ``failures.WORDS``.
    """

    paths: tuple[str, ...]
    sources: tuple[str, ...] = field(repr=False)
    identities: tuple[Identity | None, ...]
    error: str | None = None
    error_kind: str | None = None

    @property
    def path(self) -> str:
        """The first of its paths."""
        return self.paths[0]

    @property
    def size(self) -> int:
        """Bytes as stored, as far as they are known."""
        return sum(i.size for i in self.identities if i is not None)


def find_items(
    paths: Sequence[str],
    *,
    sets: bool = True,
    from_file: str | None = None,
    skip: Path | None = None,
    looks: Looks | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> list[Item]:
    """Return the captures under files, folders, patterns and URLs, each once, in order of path.

    ``from_file`` names a file with more paths, one a line, or ``-`` for standard input. ``skip`` is
    the output folder: what lies in it is no input. With ``sets``, rotated files that are one
    capture are one item. ``looks`` are those of an earlier run; new ones are added. ``say`` gets
    one line for each thing that a reader may wonder about.

    A file that is named itself, or whose name says that it is a capture, is listed even where it
    cannot be read. Raises UsageError where nothing is found at all.
    """
    out: dict[tuple[int, int] | str, Item] = {}
    for path in paths:
        for name, named in _names(path):
            item = _item_at(name, named)
            if item is not None:
                identity = item.identities[0]
                inode = (identity.device or 0, identity.inode or 0) if identity else name
                out.setdefault(inode, item)
    if not out:
        raise UsageError(f"no captures found under {', '.join(paths)}")
    return sorted(out.values(), key=lambda i: i.paths)


def _names(path: str) -> Iterator[tuple[str, bool]]:
    if os.path.isdir(path):
        yield from ((name, False) for name in _walk(path))
        return
    matches = sorted(glob.glob(path, recursive=True)) if not os.path.exists(path) else [path]
    if not matches:
        raise UsageError(f"{path}: no such file or folder")
    for name in matches:
        if os.path.isdir(name):
            yield from ((inside, False) for inside in _walk(name))
        else:
            yield name, True


def _walk(folder: str) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            path = os.path.join(root, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def _item_at(path: str, named: bool) -> Item | None:
    called = named or os.path.basename(path).lower().endswith(_CALLED_CAPTURES)
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    identity = Identity(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)
    problem, kind = None, None
    try:
        with open_source(path) as source:
            if recognise(source.peek(HEAD_BYTES)) is None:
                problem, kind = f"{encodable(path)}: not a capture", "not-a-capture"
    except PcapkitError as error:
        problem, kind = str(error), kind_of(error)
    if problem is not None and not called:
        return None
    return Item((path,), (path,), (identity,), problem, kind)
