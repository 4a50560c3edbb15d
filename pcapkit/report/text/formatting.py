"""Numbers and names as a reader wants to see them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from pcapkit.text import encodable

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\u061c\ufeff]")


def printable(text: str) -> str:
    """Replace control characters, and what ends lines or changes their direction: others obey them.

    What is no character is escaped.
    """
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", encodable(text))


def number(value: int) -> str:
    """Return a count with thousands separators."""
    return f"{value:,}"


def percent(share: float) -> str:
    """Return a share as percent with one decimal."""
    return f"{100 * share:.1f} %"


def shorten(name: str, width: int) -> str:
    """Shorten a name in its middle to ``width`` characters."""
    name = printable(name)
    if len(name) <= width:
        return name
    left = (width - 1) // 2
    return f"{name[:left]}…{name[-(width - 1 - left) :]}"


def iso_time(nanoseconds: int | None) -> str | None:
    """Return ISO 8601 with nine digits and Z."""
    if nanoseconds is None:
        return None
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    return f"{moment.isoformat()}.{rest:09d}Z"


def nanoseconds(text: str | None) -> int | None:
    """Return what ``iso_time`` wrote as nanoseconds since 1970; raises ValueError."""
    if text is None:
        return None
    moment, _, rest = text.removesuffix("Z").partition(".")
    since = datetime.fromisoformat(moment) - datetime(1970, 1, 1)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + int(rest.ljust(9, "0"))
