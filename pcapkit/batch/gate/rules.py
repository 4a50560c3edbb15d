"""The rules of ``--fail-on``: how they are written, and what each means.

    RULE      = [ SCOPE ":" ] CHECK
    SCOPE     = namespace "/" workload        both may hold * and ?; else whole captures are meant
    CHECK     = "waste>" SHARE                wasted queries of those of complete lookups
              | "nxdomain>" SHARE             queries that were answered with NXDOMAIN
              | "lookup_p95>" DURATION        95 of 100 complete lookups end within it
              | "queries>+" SHARE             growth of the queries of a lookup since before
              | "new_waste"                   names that were not wasted before
              | "fault:" ( CODE | "any" )     faults that are shown
    SHARE     = number [ "%" ]                30% or 0.3
    DURATION  = number ( "us" | "ms" | "s" )

Several stand in one text with commas between them, or in a file, ``@FILE``: a line each, ``#``
begins a comment. Spaces mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from pcapkit.analysis.faults.catalogue import FAULTS
from pcapkit.errors import UsageError
from pcapkit.files import read_text
from pcapkit.model.vocabulary import Severity


class Check(StrEnum):
    """What a rule looks at."""

    WASTE = "waste"
    NXDOMAIN = "nxdomain"
    LOOKUP_P95 = "lookup_p95"
    QUERIES = "queries"
    NEW_WASTE = "new_waste"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; ``text`` is how it is written.

    ``scope`` is a pattern of ``namespace/workload``, None where whole captures are meant. ``limit``
    is a share, a growth or seconds, ``codes`` the faults that it means.
    """

    text: str
    check: Check
    scope: str | None = None
    limit: float = 0.0
    codes: frozenset[str] = frozenset()

    @property
    def looks_back(self) -> bool:
        """Does it take an earlier run to judge it?"""
        return self.check in (Check.QUERIES, Check.NEW_WASTE)

    def means(self, workload: str) -> bool:
        """Does the scope name this ``namespace/workload``?"""
        return self.scope is not None and fnmatchcase(workload, self.scope)


_WRITE = {
    Check.WASTE: "waste>30% or waste>0.3",
    Check.NXDOMAIN: "nxdomain>50% or nxdomain>0.5",
    Check.LOOKUP_P95: "lookup_p95>50ms (us, ms or s)",
    Check.QUERIES: "queries>+5% or queries>+0.05",
    Check.NEW_WASTE: "new_waste",
    Check.FAULT: "fault:any or fault:CODE",
}
_ALL = (
    "write waste>30%, nxdomain>0.5, lookup_p95>50ms, queries>+5%, new_waste, fault:any or "
    "fault:CODE, each also for some workloads: shop/web:waste>30%, shop/*:waste>30%"
)
#: A scope has a slash, and no check has one; it may hold colons, as an IPv6 address does.
_SCOPED = re.compile(r"([^>]*/[^>]*?):(?=[a-z0-9_]+(?:>|$)|fault:)", re.IGNORECASE)
_NUMBER = re.compile(r"(\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(.*)", re.ASCII | re.DOTALL)
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_SHOWN = 60  # characters of a rule that an error shows


def parse_rules(texts: Sequence[str], option: str = "--fail-on") -> tuple[Rule, ...]:
    """Return the rules that an option was given, each once.

    Raises UsageError with the rule, its place and how to write it, InputError for a file that
    cannot be read.
    """
    rules = {rule.text: rule for text in texts for rule in _rules_of(text, option)}
    return tuple(rules.values())


def _rules_of(text: str, option: str) -> Iterator[Rule]:
    if not text.strip().startswith("@"):
        yield from _rules_in([(option, text)], f"{option} {text!r}")
        return
    path = text.strip().removeprefix("@")
    if path in ("", "-"):
        raise UsageError(f"{option} {text!r}: name a file of rules, as in @rules.txt")
    lines = read_text(path).removeprefix("\ufeff").splitlines()
    places = [
        (f"{option}: {path}, line {number}", line.partition("#")[0])
        for number, line in enumerate(lines, 1)
    ]
    yield from _rules_in(places, f"{option}: {path}")


def _rules_in(places: Sequence[tuple[str, str]], whole: str) -> Iterator[Rule]:
    """Yield the rules of some texts, each with the place where it stands."""
    any_rule = False
    for place, line in places:
        for part in line.split(","):
            if text := "".join(part.split()):
                any_rule = True
                yield _rule(text, place)
    if not any_rule:
        raise UsageError(f"{whole}: no rule; {_ALL}")


def _rule(text: str, place: str) -> Rule:
    """Parse one rule without spaces."""
    scope, rest = None, text
    if scoped := _SCOPED.match(text):
        scope, rest = scoped[1], text[scoped.end() :]
    named = re.match(r"[^>:]*", rest)
    name = named[0].lower() if named else ""
    shown = f"{place}: {text[:_SHOWN]!r}"
    if name not in tuple(Check):
        raise UsageError(f"{shown}: no such rule; {_ALL}")
    check, value = Check(name), rest[len(name) :]
    wrong = UsageError(f"{shown}: write it as {_WRITE[check]}")
    if check is Check.FAULT:
        if not value.startswith(":"):
            raise wrong
        return Rule(text, check, scope, codes=_codes(value[1:], shown))
    if check is Check.NEW_WASTE:
        if value:
            raise wrong
        return Rule(text, check, scope)
    sign = ">+" if check is Check.QUERIES else ">"
    number = _NUMBER.fullmatch(value.removeprefix(sign))
    if not value.startswith(sign) or number is None:
        raise wrong
    limit, unit = float(number[1]), number[2]
    if check is Check.LOOKUP_P95:
        if unit not in _SECONDS:
            raise wrong
        return Rule(text, check, scope, limit * _SECONDS[unit])
    limit /= 100 if unit == "%" else 1
    if unit not in ("", "%") or (check is not Check.QUERIES and limit > 1):
        raise wrong
    return Rule(text, check, scope, limit)


def _codes(code: str, shown: str) -> frozenset[str]:
    """Return the faults of a code; ``any`` are those that are more than good to know."""
    if code == "any":
        return frozenset(f.code for f in FAULTS if f.severity is not Severity.INFO)
    code = code.lower().replace("-", "_")
    known = [fault.code for fault in FAULTS]
    if code not in known:
        raise UsageError(f"{shown}: write fault:any, or one of {', '.join(known)}")
    return frozenset({code})
