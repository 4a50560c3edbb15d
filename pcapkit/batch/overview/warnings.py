"""Warnings of captures, by kind: those whose texts differ only in what they are about."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from pcapkit.model.audits import AuditRow, Warned, Warnings
from pcapkit.text import encodable

#: What is kept of a capture: with --pods, some have a warning for each of hundreds of addresses.
_MOST_KINDS, _MOST_CHARACTERS = 20, 500
_ANY = "…"
#: A count, a time, an address, a path, a name with a namespace: what differs between captures.
_PARTICULAR = re.compile(r"[^\s()'\"]*(?:\d|/|\w[.:@]\w)[^\s()'\"]*(?<![,;:.])")
_LIST = re.compile(rf"{_ANY}(?:(?:,| and) {_ANY})+(?: more files)?")
_ONE = re.compile(rf"{_ANY} (lookup|line|place|query|file)\b( is\b)?")
_MANY = {"query": "queries"}


def kinds_of(warnings: Sequence[str], paths: Iterable[str]) -> tuple[Warned, ...]:
    """Return the kinds of a capture's warnings, each with the first of its texts.

    ``paths`` are the capture's: a text that begins with one is about it.
    """
    own = sorted({encodable(path) for path in paths}, key=len, reverse=True)
    texts: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for warning in warnings:
        text = warning
        for path in own:
            text = text.removeprefix(f"{path}: ")
        kind = _kind_of(text, own)
        counts[kind] += 1
        if kind in texts or len(texts) < _MOST_KINDS:
            texts.setdefault(kind, _cut(text))
    return tuple(Warned(kind, text, counts[kind]) for kind, text in texts.items())


def _kind_of(text: str, paths: Sequence[str]) -> str:
    for path in paths:
        text = text.replace(path, _ANY)
    text = _LIST.sub(_ANY, _PARTICULAR.sub(_ANY, text))
    text = _ONE.sub(lambda m: f"{_ANY} {_MANY.get(m[1], m[1] + 's')}{' are' if m[2] else ''}", text)
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + _ANY


def warnings_in(rows: Iterable[AuditRow]) -> tuple[Warnings, ...]:
    """Return the captures of each kind of warning, the most common kind first."""
    found: dict[str, list[AuditRow]] = defaultdict(list)
    for row in rows:
        for warned in row.warned:
            found[warned.kind].append(row)
    kinds = sorted(found.items(), key=lambda of: (-len(of[1]), of[0]))
    return tuple(Warnings(kind, tuple(sorted(of, key=lambda r: r.path))) for kind, of in kinds)
