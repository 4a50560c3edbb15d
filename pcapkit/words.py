"""Counts and lists as sentences say them, wherever sentences are made."""

from __future__ import annotations

from collections.abc import Sequence

#: So many of a list are named in a sentence.
SHOWN = 5


def some(texts: Sequence[str], count: int | None = None) -> str:
    """Return the first of some texts, and how many more there are.

    ``count`` is how many there are in all, where ``texts`` are not all of them.
    """
    more = (len(texts) if count is None else count) - SHOWN
    return ", ".join(texts[:SHOWN]) + (f" and {more} more" if more > 0 else "")
