"""Which tallies a share of an audit wrote: so that none is missing unnoticed, and none too many.

Beside its tallies, a share that is done leaves ``share-I-of-N.json``. The audit of the tallies
reads those that such files name, and no others: tallies of captures that are gone since, or of
other options, stay where they are and count no more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pcapkit.files import atomic_write

_NAME = re.compile(r"share-(\d{1,9})-of-(\d{1,9})\.json")
_SCHEMA = "pcapkit.share/1"


@dataclass(frozen=True, slots=True)
class Failed:
    """A capture of a share that no tally stands for."""

    paths: tuple[str, ...]
    error: str


@dataclass(frozen=True, slots=True)
class Share:
    """Share ``number``, from 0, of ``shares``: the names of its tallies, and what failed."""

    number: int
    shares: int
    tallies: tuple[str, ...]
    failed: tuple[Failed, ...] = ()
    schema: str = _SCHEMA


def save_share(folder: Path, share: Share) -> None:
    """Write what a share consists of; lists of another number of shares are removed."""
    for path, of in _lists(folder):
        if of != share.shares:
            path.unlink(missing_ok=True)
    path = folder / f"share-{share.number}-of-{share.shares}.json"
    atomic_write(path, json.dumps(msgspec.to_builtins(share), indent=1).encode() + b"\n")


def load_shares(folder: Path) -> tuple[list[Share], list[str]]:
    """Return the shares that are done in a folder, and the names of lists that are damaged."""
    found, damaged = [], []
    for path, _ in _lists(folder):
        try:
            share = msgspec.json.decode(path.read_bytes(), type=Share)
        except (OSError, msgspec.DecodeError):
            damaged.append(path.name)
        else:
            found.append(share)
    return found, damaged


def _lists(folder: Path) -> Sequence[tuple[Path, int]]:
    found = ((path, _NAME.fullmatch(path.name)) for path in sorted(folder.iterdir()))
    return [(path, int(match[2])) for path, match in found if match]
