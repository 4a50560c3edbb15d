"""Shares of an audit: which tallies each wrote, and whether all of them are there.

Beside its tallies, a share that is done leaves ``share-I-of-N.json``. The audit of the tallies
reads those that such files name, and no others: tallies of captures that are gone since, or of
other options, stay where they are and count no more.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from pcapkit.batch.finding.places import Place, shown_all
from pcapkit.files import atomic_write
from pcapkit.text import is_url, shown_path

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


def _load(folder: Path) -> tuple[list[Share], list[str]]:
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


def settle(
    tallies: Sequence[Place], say: Callable[[str], None]
) -> tuple[list[Place], list[Failed]]:
    """Return the tallies that count, and what is missing.

    In folders without lists of shares, as ``pcapkit tally`` writes them, all tallies count.
    """
    folders: dict[str, list[Place]] = {}
    kept = [place for place in tallies if is_url(place.path)]  # which are refused, one by one
    for place in tallies:
        if not is_url(place.path):
            folders.setdefault(os.path.dirname(place.path), []).append(place)
    missing, left_out, shares = [], [], []
    for folder, places in folders.items():
        found, damaged = _load(Path(folder or "."))
        for name in damaged:
            path = shown_path(os.path.join(folder, name))
            missing.append(Failed((path,), f"{path}: damaged; make that share again"))
        if not found and not damaged:
            kept += places
            continue
        listed = {name for share in found for name in share.tallies}
        there = {os.path.basename(p.path) for p in places}
        kept += [p for p in places if os.path.basename(p.path) in listed]
        left_out += [p.path for p in places if os.path.basename(p.path) not in listed]
        for name in sorted(listed - there):
            path = shown_path(os.path.join(folder, name))
            missing.append(Failed((path,), f"{path}: this tally of a share is not there"))
        missing += [failed for share in found for failed in share.failed]
        shares += found
    if left_out:
        say(f"left out, as no share has them now: {shown_all(left_out)}")
    return kept, missing + list(_absent(shares))


def _absent(shares: Sequence[Share]) -> list[Failed]:
    """Return the shares that nobody has made; all are of the same number where all went well."""
    out = []
    for of in sorted({share.shares for share in shares}):
        there = {share.number for share in shares if share.shares == of}
        for number in sorted(set(range(of)) - there):
            path = f"share {number}/{of}"
            out.append(Failed((path,), f"{path}: not there; make it with --shard {number}/{of}"))
    return out
