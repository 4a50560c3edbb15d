"""Records of captures done: a file each, so that the next audit does only what is new.

A record is named by what it is of (paths) and by what its result depends on beside their content:
options, formats, versions. It holds what told the files apart from others when they were read, and
its report's files. Records are written whole; what is torn all the same, by a crash of the machine,
is passed over, and its capture is done again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path

import msgspec

from pcapkit.files import atomic_write
from pcapkit.model.audits import AuditRow, Identity
from pcapkit.text import encodable

FOLDER = "records"
SCHEMA = "pcapkit.record/1"
#: To read a larger file again, for its digest, is no longer a small part of its analysis.
DIGEST_BYTES = 1 << 24
_SUFFIX = ".json"
_NAMES = re.compile(r"[0-9a-f]{32}\.json")


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of one item.

    ``paths`` are absolute; ``settings`` is a digest of all that the result depends on beside the
    capture; ``folder`` is the report's, ``files`` the names and sizes of what it holds. ``digests``
    are of the captures' bytes, None where they were too many to be read again.
    """

    schema: str
    settings: str
    paths: tuple[str, ...]
    identities: tuple[Identity | None, ...]
    folder: str
    files: tuple[tuple[str, int], ...]
    row: AuditRow
    digests: tuple[str | None, ...] = ()

    @property
    def key(self) -> str:
        """What the record is named by."""
        return key_of(self.paths, self.settings)

    def is_of(self, identities: Sequence[Identity | None]) -> bool:
        """Are these files the same that were read, as far as can be told without reading?

        Devices are numbered anew when a machine starts, or a volume is mounted.
        """
        now = [replace(i, device=None) if i else None for i in identities]
        return None not in now and now == [
            replace(i, device=None) if i else None for i in self.identities
        ]

    def has_bytes_of(self, sources: Sequence[str], identities: Sequence[Identity | None]) -> bool:
        """Do these files, which are others by what tells them apart, hold the bytes that were read?

        So it is with files that were copied or touched. Files of another size are not read.
        """
        sizes, before = (
            [i.size if i else None for i in ids] for ids in (identities, self.identities)
        )
        if not self.digests or None in self.digests or sizes != before:
            return False
        return self.digests == digests_of(sources, identities)

    def has_report(self, output: Path) -> bool:
        """Are all files of the report still there, as large as they were?"""
        folder = output / self.folder
        try:
            return all(os.stat(folder / name).st_size == size for name, size in self.files)
        except OSError:
            return False


def digests_of(
    sources: Sequence[str], identities: Sequence[Identity | None]
) -> tuple[str | None, ...]:
    """Return a digest of what each file holds.

    None where that is no file of this machine, larger than DIGEST_BYTES, or not the one any more
    that ``identities`` tell of.
    """
    return tuple(map(_digest_of, sources, identities))


def _digest_of(source: str, identity: Identity | None) -> str | None:
    if identity is None or identity.inode is None or identity.size > DIGEST_BYTES:
        return None
    try:
        with open(source, "rb", buffering=0) as file:
            out = hashlib.file_digest(file, "sha256").hexdigest()
            status = os.fstat(file.fileno())
    except OSError:
        return None
    is_same = (status.st_size, status.st_mtime_ns) == (identity.size, identity.mtime_ns)
    return out if is_same else None


def absolute(paths: Iterable[str]) -> tuple[str, ...]:
    """Return paths as records have them: absolute, and text. URLs are that already."""
    return tuple(encodable(p if "://" in p else os.path.abspath(p)) for p in paths)


def key_of(paths: Sequence[str], settings: str) -> str:
    """Return what names the record of an item: 32 hexadecimal digits."""
    return digest([*paths, settings])[:32]


def digest(value: object) -> str:
    """Return a digest of a value, which is the same in every process; of 64 hexadecimal digits."""
    return hashlib.sha256(repr(_plain(value)).encode("utf-8", "surrogateescape")).hexdigest()


def _plain(value: object) -> object:
    """Return a value whose text says all of it, and is the same in every process."""
    if is_dataclass(value) and not isinstance(value, type):
        parts = [(f.name, _plain(getattr(value, f.name))) for f in fields(value)]
        return (type(value).__name__, *parts)
    if isinstance(value, Mapping):
        return [(_plain(k), _plain(v)) for k, v in value.items()]
    if isinstance(value, AbstractSet):
        return sorted(repr(_plain(v)) for v in value)
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, int | float | bytes) else str(value)


class Records:
    """The records of an output folder, by key."""

    def __init__(self, output: Path, say: Callable[[str], None]) -> None:
        self._output, self._folder = output, output / FOLDER
        self.known: dict[str, Record] = {}
        self._keys: dict[tuple[str, ...], set[str]] = {}  # by paths
        for path in sorted(self._paths()):
            try:
                record = _decode(path.read_bytes())
            except (OSError, ValueError):
                say(f"{encodable(str(path))}: no whole record of this version: made again")
                continue
            self._note(record)

    def _note(self, record: Record) -> None:
        self.known[record.key] = record
        self._keys.setdefault(record.paths, set()).add(record.key)

    def _paths(self) -> list[Path]:
        try:
            return [Path(e.path) for e in os.scandir(self._folder) if _NAMES.fullmatch(e.name)]
        except FileNotFoundError:
            return []

    def of(self, paths: tuple[str, ...]) -> list[Record]:
        """Return what is known of captures, under any settings."""
        return [self.known[key] for key in self._keys.get(paths, ())]

    def save(self, record: Record) -> Record:
        """Keep a record; raises InputError where it cannot be written.

        Returns it as the next audit will read it.
        """
        data = msgspec.json.encode(record)
        atomic_write(self._folder / f"{record.key}{_SUFFIX}", data)
        kept = _decode(data)
        self._note(kept)
        return kept

    def remove(self, key: str) -> None:
        """Forget a record, if there is one."""
        if (record := self.known.pop(key, None)) is not None:
            self._keys[record.paths].discard(key)
        (self._folder / f"{key}{_SUFFIX}").unlink(missing_ok=True)

    def prune(self, wanted: AbstractSet[str]) -> None:
        """Remove all records but those of some keys, unreadable ones too."""
        for path in self._paths():
            if path.name.removesuffix(_SUFFIX) not in wanted:
                self.remove(path.name.removesuffix(_SUFFIX))


def _decode(data: bytes) -> Record:
    """Return a record; raises ValueError where it is none of this version."""
    record = _decoder.decode(data)
    if record.schema != SCHEMA or os.path.basename(record.folder) != record.folder:
        raise ValueError(record.schema)
    return record


_decoder = msgspec.json.Decoder(Record)
