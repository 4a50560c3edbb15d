"""Which labels are top-level domains of the Internet, by the public suffix list."""

from __future__ import annotations

from functools import cache
from typing import Any


@cache
def _top_level_domains() -> Any:
    """Read the public suffix list's rules of one label: most have more, and take long to read."""
    from publicsuffixlist import PSLFILE, PublicSuffixList

    with open(PSLFILE, "rb") as lines:
        rules = [line for line in lines if b"." not in line.removeprefix(b"*.")]
    return PublicSuffixList(rules, accept_unknown=False)


def is_top_level_domain(label: str) -> bool:
    """Is this label a real top-level domain (by the public suffix list's own data)?"""
    return bool(_top_level_domains().publicsuffix(label))
