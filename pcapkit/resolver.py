"""Stub resolvers: their configuration and how each walks the search list.

``RESOLVERS`` is a table of rules, each with where it was read or measured. Sources: resolv.conf(5);
glibc ``resolv/res_query.c`` and ``res_init.c``; musl ``src/network/lookup_name.c`` and
``resolvconf.c``; Go ``src/net/dnsclient_unix.go``; c-ares ``ares_search.c``; BIND ``dighost.c``.
All compare dots >= ndots, not dots > ndots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pcapkit.codes import NODATA, NXDOMAIN, REFUSED, UNANSWERED
from pcapkit.errors import UsageError
from pcapkit.names import dots, fold, wire_from_text

MAX_NDOTS = 15  #: glibc's RES_MAXNDOTS; musl, c-ares and Go cap at the same value

#: What a resolver does after a candidate that has no answer.
AFTER_NEXT, AFTER_STOP, AFTER_AS_IS = range(3)


@dataclass(frozen=True, slots=True)
class ResolverModel:
    """The rules of one stub resolver."""

    name: str
    searches: bool = True  #: uses the search list at all
    searches_after_as_is: bool = True  #: dots >= ndots and the name as is failed: the list follows
    ndots_zero_searches: bool = True
    further_types_of_hit_only: bool = False  #: asks AAAA (and MX) only of the name that has an A
    on_nodata: int = AFTER_NEXT
    on_servfail: int = AFTER_NEXT
    on_refused: int = AFTER_NEXT
    on_timeout: int = AFTER_NEXT
    evidence: str = ""

    def after(self, outcomes: Sequence[int]) -> int:
        """Return AFTER_* for a candidate whose questions ended in ``outcomes`` (no answer)."""
        if UNANSWERED in outcomes:
            return self.on_timeout
        if REFUSED in outcomes:
            return self.on_refused
        if any(o not in (NODATA, NXDOMAIN) for o in outcomes):
            return self.on_servfail
        return self.on_nodata if NODATA in outcomes else AFTER_NEXT


_STOP: Any = {"on_servfail": AFTER_STOP, "on_refused": AFTER_STOP, "on_timeout": AFTER_STOP}

RESOLVERS: tuple[ResolverModel, ...] = (
    ResolverModel(
        "glibc", on_refused=AFTER_AS_IS, on_timeout=AFTER_AS_IS,
        evidence="measured with 2.36; res_query.c __res_context_search",
    ),
    ResolverModel(
        "musl", searches_after_as_is=False, ndots_zero_searches=False, on_nodata=AFTER_STOP,
        **_STOP, evidence="measured with 1.2.3; lookup_name.c name_from_dns_search",
    ),
    ResolverModel("go", evidence="measured with 1.19; dnsclient_unix.go goLookupIPCNAMEOrder"),
    ResolverModel("c-ares", **_STOP, evidence="measured with 1.34; ares_search.c"),
    ResolverModel(
        "dnspython", on_nodata=AFTER_STOP, **_STOP, evidence="measured with 2.9; dns/resolver.py",
    ),
    ResolverModel(
        "bind-nslookup", searches_after_as_is=False, further_types_of_hit_only=True,
        on_nodata=AFTER_STOP, **_STOP,
        evidence="measured with 9.18; dighost.c",
    ),
    ResolverModel(
        "bind-host", searches_after_as_is=False, further_types_of_hit_only=True,
        on_nodata=AFTER_STOP, **_STOP,
        evidence="measured with 9.18; dighost.c",
    ),
    ResolverModel(
        "bind-dig", searches=False, searches_after_as_is=False, **_STOP,
        evidence="dig(1): no search without +search",
    ),
    ResolverModel(
        "busybox", searches_after_as_is=False, evidence="measured with 1.35; networking/nslookup.c"
    ),
    ResolverModel(
        "unknown", on_refused=AFTER_AS_IS, on_timeout=AFTER_AS_IS, evidence="glibc's rules"
    ),
)  # fmt: skip


def resolver_model(name: str) -> ResolverModel:
    """Return the rules of a resolver by its name; raises UsageError listing the known ones."""
    for model in RESOLVERS:
        if model.name == name:
            return model
    raise UsageError(f"no resolver {name!r}: {', '.join(m.name for m in RESOLVERS)}")


def candidates(
    name: str, search: Sequence[str], *, ndots: int, model: ResolverModel
) -> tuple[str, ...]:
    """Return the names a resolver would send for ``name``, in order, were all to fail.

    A final dot makes the name absolute. Raises UsageError where it is no domain name.
    """
    try:
        wire_from_text(name)
    except ValueError as problem:
        raise UsageError(str(problem)) from None
    base = fold(name)
    if name.endswith(".") or not model.searches:
        return (base,)
    listed = tuple(f"{base}.{s}" for s in search if _fits(f"{base}.{s}"))
    if ndots == 0 and not model.ndots_zero_searches:
        return (base,)
    if model.name == "busybox":
        return listed if dots(base) == 0 else (base,)
    if dots(base) >= ndots:
        return (base, *listed) if model.searches_after_as_is else (base,)
    return (*listed, base)


def _fits(name: str) -> bool:
    try:
        wire_from_text(name)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class ResolverConfig:
    """A parsed resolv.conf."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    ndots: int | None
    options: tuple[str, ...]
    path: str
    search_line: str = ""  #: the line that holds ``search``, as it is written

    @property
    def ndots_in_force(self) -> int:
        """The value that counts: 1 where the file names none (resolv.conf(5))."""
        return 1 if self.ndots is None else self.ndots


def _suffixes(words: Sequence[str], *, where: str) -> tuple[str, ...]:
    for word in words:
        try:
            wire_from_text(word)
        except ValueError as problem:
            raise UsageError(f"{where}: {problem}") from None
    return tuple(fold(w) for w in words if w != ".")


_DIRECTIVES = ("nameserver", "search", "domain", "options", "sortlist")


def parse_resolv_conf(text: str, *, path: str) -> ResolverConfig:
    """Parse resolv.conf(5): the last ``search`` or ``domain`` line wins, ndots is capped at 15.

    Raises UsageError, naming the line, where it is something else.
    """
    servers: list[str] = []
    search: tuple[str, ...] = ()
    search_line = ""
    options: list[str] = []
    known = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if words[0] not in _DIRECTIVES:
            raise UsageError(
                f"{path}: line {number}: {words[0][:40]!r} is no resolv.conf directive "
                f"(expected {', '.join(_DIRECTIVES)})"
            )
        known = True
        if words[0] == "nameserver":
            servers += words[1:2]
        elif words[0] in ("search", "domain"):
            search = _suffixes(words[1:], where=f"{path}: line {number}")
            search_line = line
        elif words[0] == "options":
            options += words[1:]
    if not known:
        raise UsageError(f"{path}: line 1: not a resolv.conf: it has no directive at all")
    ndots = None
    for option in options:
        if option.startswith("ndots:") and option[6:].isdecimal():
            ndots = min(int(option[6:16]), MAX_NDOTS)
    return ResolverConfig(tuple(servers), search, ndots, tuple(options), path, search_line)
