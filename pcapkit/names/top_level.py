"""Top-level domains of the Internet, and who registered a name, by the public suffix list."""

from __future__ import annotations

from functools import cache, lru_cache
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


@cache
def _public_suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=True)


@lru_cache(maxsize=1 << 14)
def registered_domain(name: str) -> str:
    """Return the domain that somebody registered, under which a name is: ``b.co.uk`` of
    ``a.b.co.uk``; the name itself where it is none (a single label, a public suffix).
    """
    return str(_public_suffixes().privatesuffix(name) or name)


@cache
def icann_rules() -> frozenset[tuple[str, ...]]:
    """Return the public suffix list's rules of registries, each as its labels, in lower case.

    Wildcards are left out, exceptions are as other rules, and labels beyond ASCII are A-labels.
    """
    from publicsuffixlist import PSLFILE

    out = set()
    with open(PSLFILE, encoding="utf-8") as lines:
        for line in lines:
            if "===END ICANN DOMAINS===" in line:
                break
            rule = line.strip().lower().removeprefix("!").removeprefix("*.")
            if rule and not rule.startswith("//"):
                labels = (part if part.isascii() else _a_label(part) for part in rule.split("."))
                out.add(tuple(labels))
    return frozenset(out)


def _a_label(label: str) -> str:
    return "xn--" + label.encode("punycode").decode("ascii")
