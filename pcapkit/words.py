"""Counts, times and lists as sentences say them, wherever sentences are made."""

from __future__ import annotations

from collections.abc import Sequence


def seconds(value: float | None) -> str:
    """Return a duration, in seconds, in the unit that reads best; nothing for None."""
    if value is None:
        return ""
    if value == 0:
        return "0 s"
    if value >= 7200:
        return f"{value / 3600:,.1f} h"
    if value >= 120:
        return f"{value / 60:.1f} min"
    if value >= 1:
        return f"{value:.2f} s"
    if value >= 1e-3:
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} µs"


def counted(count: int, noun: str) -> str:
    """Return a count of things whose plural ends in s: '1 lookup', '2,000 lookups'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


#: So many of a list are named in a sentence.
SHOWN = 5


def some(texts: Sequence[str], count: int | None = None) -> str:
    """Return the first of some texts, and how many more there are.

    ``count`` is how many there are in all, where ``texts`` are not all of them.
    """
    more = (len(texts) if count is None else count) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")
