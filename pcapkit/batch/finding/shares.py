"""Shares of an audit put together: is every one there, with every tally that it wrote?"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from pcapkit.batch.finding.places import Place, shown_all
from pcapkit.batch.keeping.shares import Failed, Share, load_shares
from pcapkit.text import is_url, shown_path


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
        found, damaged = load_shares(Path(folder or "."))
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
