"""Stub resolvers: their configuration, and the rules by which each walks the search list.

``RESOLVERS`` is a table of rules, one row a resolver, and ``OLDER`` what releases before a version
did otherwise. ``simulate.py`` plays them. Sources: resolv.conf(5); glibc ``resolv/res_query.c``,
``res_send.c`` and ``res_init.c``; musl ``src/network/lookup_name.c``, ``res_msend.c`` and
``resolvconf.c``; Go ``src/net/dnsclient_unix.go``; c-ares ``ares_search.c``; BIND ``dighost.c``;
hickory ``crates/resolver/src/resolver.rs``; dnsjava ``Lookup.java``. All compare dots >= ndots, not
dots > ndots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from pcapkit.codes import NODATA, NXDOMAIN, REFUSED, UNANSWERED
from pcapkit.errors import UsageError
from pcapkit.resolver.resolv_conf import MAX_ATTEMPTS, MAX_NDOTS, MAX_TIMEOUT, ResolverConfig

#: What a resolver does after a candidate that has no answer.
AFTER_NEXT, AFTER_STOP, AFTER_AS_IS = range(3)
#: What it does with a candidate that is no legal name (over 253 octets in presentation form).
SKIP, ABANDON = range(2)
#: What a list entry ``.`` is to it: the name as is, at that place (Kubernetes 1.34 lets dnsConfig
#: say so, KEP-4427); nothing; or the end of every lookup.
ROOT_AS_IS, ROOT_SKIPPED, ROOT_FAILS = range(3)
_BASIC = frozenset({"ndots", "timeout", "attempts"})


@dataclass(frozen=True, slots=True)
class ResolverModel:
    """The rules of one stub resolver.

    ``on_...`` say what follows a candidate that no type has an answer of. A question is sent once;
    where it ends in SERVFAIL, REFUSED or silence, once an attempt, to every nameserver.
    """

    name: str
    searches: bool = True  #: uses the search list at all
    searches_after_as_is: bool = True  #: dots >= ndots and the name as is failed: the list follows
    searches_dotted: bool = True  #: names with a dot are searched
    tries_as_is: bool = True  #: a searched name is asked as is, too
    as_is_after_list: bool = True  #: dots < ndots: the name as is follows the list
    #: A name with dots >= ndots is known to be asked as is before anything else, so that a full
    #: name needs no final dot. False where releases in use search first, or nobody has measured it.
    asks_dotted_as_is_first: bool = True
    least_ndots: int = 0  #: a lower ndots in resolv.conf counts as this
    asks_all: bool = False  #: all candidates, whatever the first is answered
    further_types_of_hit_only: bool = False  #: asks AAAA (and MX) only of the name that has an A
    on_nodata: int = AFTER_NEXT
    on_servfail: int = AFTER_NEXT
    on_refused: int = AFTER_NEXT
    on_timeout: int = AFTER_NEXT
    on_too_long: int = SKIP
    #: A has an answer, AAAA is NXDOMAIN: the name counts as absent
    nxdomain_of_one_is_absence: bool = False
    #: A has an answer, AAAA failed or is lost: the lookup fails
    failure_of_one_is_failure: bool = False
    #: a question of a pair whose other one was answered is sent again when it fails
    insists_on_both: bool = True
    both_again: bool = False  #: where one of a pair is lost, both are asked again
    timeout: float = 5.0
    attempts: int = 2
    counts_repeats: bool = False  #: ``attempts`` of resolv.conf are those after the first
    timeout_is_whole: bool = False  #: ``timeout`` bounds all attempts at a candidate together
    timeout_grows: bool = False  #: doubled for each further nameserver, divided by their number
    gives_up_s: float | None = None  #: after silence, whatever the options say
    servfail_tries: int | None = None  #: instead of ``attempts``
    servfail_resends: int = 0  #: at once, for each question of a pair in each attempt, shared
    waits_on_errors: bool = False  #: SERVFAIL and REFUSED run into the timeout, too
    servers_at_once: bool = False  #: every query goes to all nameservers
    options: frozenset[str] = _BASIC  #: of resolv.conf(5), those that change what is sent
    edns_bytes: int = 0  #: payload size of the OPT record in every query, 0 for none
    tcp: bool = True  #: follows a truncated response over TCP
    most_suffixes: int | None = None
    longest_list: int | None = None  #: characters of the list, a line over it is cut there
    longest_line: int | None = None  #: without its newline; a longer one is ignored
    root_suffix: int = ROOT_AS_IS
    walks_again_when_large: bool = False  #: an answer that outgrows its buffer starts it anew
    keeps_answers: bool = False  #: asks nothing again while it holds an answer, or a denial
    keeps_empty_s: int = 0  #: NODATA without any record is kept so long, whatever its SOA says
    is_known: bool = True  #: False: the rules are a guess
    never_asked: str = ""  #: a top-level domain: it sends no name that ends in it
    searches_never_asked: bool = False  #: it sends them under the search list, though
    evidence: str = ""

    def effective_ndots(self, ndots: int) -> int:
        """Return the ndots that counts where resolv.conf says ``ndots``."""
        return max(min(ndots, MAX_NDOTS), self.least_ndots)

    def after(self, outcomes: Sequence[int]) -> int:
        """Return AFTER_* for a candidate whose questions ended in ``outcomes`` (no answer)."""
        if UNANSWERED in outcomes:
            return self.on_timeout
        if REFUSED in outcomes:
            return self.on_refused
        if any(o not in (NODATA, NXDOMAIN) for o in outcomes):
            return self.on_servfail
        if NXDOMAIN in outcomes and self.nxdomain_of_one_is_absence:
            return AFTER_NEXT
        return self.on_nodata if NODATA in outcomes else AFTER_NEXT

    def effective_search(self, search: Sequence[str]) -> tuple[str, ...]:
        """Return the list as this resolver takes it: its caps applied, skipped entries left out."""
        if self.longest_line is not None:
            if len("search " + " ".join(search)) > self.longest_line:
                return ()
        kept = list(search[: self.most_suffixes])
        while self.longest_list is not None and len(" ".join(kept)) >= self.longest_list:
            kept.pop()
        return tuple(s for s in kept if s != "." or self.root_suffix != ROOT_SKIPPED)


_STOP: Any = {"on_servfail": AFTER_STOP, "on_refused": AFTER_STOP, "on_timeout": AFTER_STOP}
_BIND: Any = {
    "searches_after_as_is": False,
    "further_types_of_hit_only": True,
    "on_nodata": AFTER_STOP,
    "servfail_tries": 1,
    "evidence": "measured with 9.18; dighost.c",
    **_STOP,
}
RESOLVERS: tuple[ResolverModel, ...] = (
    ResolverModel(
        "glibc",
        on_refused=AFTER_AS_IS,
        on_timeout=AFTER_AS_IS,
        on_too_long=ABANDON,
        walks_again_when_large=True,
        insists_on_both=False,
        both_again=True,
        timeout_grows=True,
        options=_BASIC
        | {
            "rotate",
            "single-request",
            "single-request-reopen",
            "use-vc",
            "no-aaaa",
            "edns0",
            "trust-ad",
        },
        evidence="measured with 2.36; res_query.c __res_context_search, res_send.c send_dg",
    ),
    ResolverModel(
        "musl",
        searches_after_as_is=False,
        on_nodata=AFTER_STOP,
        nxdomain_of_one_is_absence=True,
        failure_of_one_is_failure=True,
        timeout_is_whole=True,
        servfail_resends=2,
        waits_on_errors=True,
        servers_at_once=True,
        longest_line=254,
        root_suffix=ROOT_SKIPPED,
        **_STOP,
        evidence="measured with 1.2.3 and 1.2.6; lookup_name.c name_from_dns_search, res_msend.c",
    ),
    ResolverModel(
        "go",
        edns_bytes=1232,
        root_suffix=ROOT_SKIPPED,
        never_asked="onion",
        searches_never_asked=True,
        options=_BASIC
        | {"rotate", "single-request", "single-request-reopen", "use-vc", "trust-ad"},
        evidence="measured with 1.19; dnsclient_unix.go goLookupIPCNAMEOrder, dnsconfig_unix.go",
    ),
    ResolverModel(
        "c-ares",
        edns_bytes=1232,
        never_asked="onion",
        timeout=2.0,
        attempts=3,
        gives_up_s=11.6,
        keeps_answers=True,
        keeps_empty_s=3600,
        options=_BASIC | {"rotate"},
        **_STOP,
        evidence="measured with 1.34; ares_search.c, ares_send.c, ares_qcache.c",
    ),
    ResolverModel(
        "dnspython",
        on_nodata=AFTER_STOP,
        attempts=4,
        gives_up_s=5.0,
        servfail_tries=1,
        options=frozenset({"ndots"}),
        **_STOP,
        evidence="measured with 2.9; dns/resolver.py",
    ),
    ResolverModel("bind-nslookup", **_BIND),
    ResolverModel("bind-host", **_BIND),
    ResolverModel(
        "bind-dig",
        searches=False,
        searches_after_as_is=False,
        edns_bytes=1232,
        servfail_tries=1,
        **_STOP,
        evidence="dig(1): no search without +search",
    ),
    ResolverModel(
        "busybox",
        searches_after_as_is=False,
        searches_dotted=False,
        tries_as_is=False,
        asks_all=True,
        root_suffix=ROOT_SKIPPED,
        gives_up_s=5.0,
        servfail_tries=7,
        options=frozenset(),
        evidence="measured with 1.35 and 1.38; networking/nslookup.c",
    ),
    ResolverModel(
        "hickory",
        attempts=3,
        counts_repeats=True,
        servfail_tries=3,
        keeps_answers=True,
        root_suffix=ROOT_SKIPPED,
        evidence="measured with 0.25 and 0.26; resolver.rs build_names, lookup_ip.rs",
    ),
    ResolverModel(
        "dnsjava",
        as_is_after_list=False,
        asks_dotted_as_is_first=False,
        on_nodata=AFTER_STOP,
        edns_bytes=1280,
        attempts=3,
        servfail_tries=1,
        keeps_answers=True,
        options=frozenset({"ndots"}),
        evidence="dnsjava issue 118; Lookup.java run, ExtendedResolver.java, SimpleResolver.java",
    ),
    ResolverModel(
        "grpc",
        asks_dotted_as_is_first=False,
        least_ndots=1,
        never_asked="onion",
        timeout=5.0,
        attempts=4,
        options=_BASIC | {"rotate"},
        **_STOP,
        evidence="gRPC's C core: grpc pull 41307, ares_gethostbyname of the c-ares that it brings",
    ),
    ResolverModel(
        "jndi",
        searches=False,
        searches_after_as_is=False,
        gives_up_s=15.0,
        attempts=4,
        servfail_tries=1,
        options=frozenset(),
        **_STOP,
        evidence="measured with Java 25; JNDI's DNS provider: 1 s, doubled, four times",
    ),
    ResolverModel(
        "unknown",
        asks_dotted_as_is_first=False,
        on_refused=AFTER_AS_IS,
        on_timeout=AFTER_AS_IS,
        walks_again_when_large=True,
        is_known=False,
        evidence="glibc's rules",
    ),
)
_NO_AAAA = "no-aaaa"
_GLIBC = next(m for m in RESOLVERS if m.name == "glibc").options
#: (resolver, first release that does not do so any more, what it did until then, source)
OLDER: tuple[tuple[str, tuple[int, ...], Mapping[str, Any], str], ...] = (
    ("glibc", (2, 36), {"options": _GLIBC - {_NO_AAAA}}, "NEWS 2.36: no-aaaa"),
    ("glibc", (2, 31), {"options": _GLIBC - {_NO_AAAA, "trust-ad"}}, "NEWS 2.31: trust-ad"),
    ("glibc", (2, 26), {"most_suffixes": 6, "longest_list": 256}, "NEWS 2.26: MAXDNSRCH"),
    (
        "musl",
        (1, 2, 4),
        {"tcp": False, "root_suffix": ROOT_FAILS},
        "WHATSNEW 1.2.4: TCP fallback, search domains that end in a dot",
    ),
    ("musl", (1, 1, 13), {"searches": False}, "WHATSNEW 1.1.13: search domains"),
    ("go", (1, 22), {"searches_never_asked": False}, "golang/go#60678: avoidDNS per candidate"),
    ("c-ares", (1, 31), {"keeps_answers": False}, "RELEASE-NOTES 1.31: query cache by default"),
    (
        "c-ares",
        (1, 28),
        {"least_ndots": 1, "asks_dotted_as_is_first": False},
        "c-ares issue 734: at ndots:0 the list came first; RELEASE-NOTES 1.28: ndots may be zero",
    ),
    ("c-ares", (1, 22), {"edns_bytes": 0}, "RELEASE-NOTES 1.22: EDNS by default"),
)


@lru_cache
def resolver_model(text: str) -> ResolverModel:
    """Return the rules of a resolver by its name, of one release where ``glibc@2.25`` names it.

    Raises UsageError that lists the known ones, or the releases that changed something.
    """
    name, at, release = text.partition("@")
    for model in RESOLVERS:
        if model.name == name:
            return _of_release(model, release) if at else model
    raise UsageError(f"no resolver {name!r}: {', '.join(m.name for m in RESOLVERS)}")


def _of_release(model: ResolverModel, text: str) -> ResolverModel:
    parts = text.split(".")
    changed = sorted(until for name, until, _, _ in OLDER if name == model.name)
    if not all(p.isascii() and p.isdigit() and len(p) < 6 for p in parts):
        known = ", ".join(".".join(map(str, until)) for until in changed)
        what = f"its rules changed with {known}" if known else "its rules are those of all releases"
        raise UsageError(f"no release {text!r} of {model.name}: write it as 2.36; {what}")
    release = tuple(int(p) for p in parts)
    for name, until, changes, _ in OLDER:
        if name == model.name and release < until:
            model = replace(model, **changes)
    return model


def tries_of(model: ResolverModel, config: ResolverConfig) -> int:
    """Return how often a question is sent to each nameserver that stays silent."""
    given = config.number("attempts", 0, MAX_ATTEMPTS) if "attempts" in model.options else 0
    return int(given) + model.counts_repeats if given else model.attempts


def sendings(
    model: ResolverModel, config: ResolverConfig
) -> tuple[tuple[float, tuple[int, ...]], ...]:
    """Return when a question that nobody answers is sent, and to whom.

    Each row is a moment, in seconds after the first, and the places of the nameservers that are
    asked then. Only for resolvers whose timers follow from timeout and attempts alone: those with
    ``gives_up_s`` have others.
    """
    servers = max(1, len(config.nameservers))
    attempts, timeout = tries_of(model, config), _timeout(model, config)
    if model.servers_at_once:
        apart = timeout / attempts if model.timeout_is_whole else timeout
        return tuple((n * apart, tuple(range(servers))) for n in range(attempts))
    out, at = [], 0.0
    for _ in range(attempts):
        for place, wait in enumerate(_waits(model, timeout, servers)):
            out.append((at, (place,)))
            at += wait
    return tuple(out)


def gives_up_s(model: ResolverModel, config: ResolverConfig) -> float:
    """Return how long a candidate takes that no nameserver ever answers, in seconds."""
    if model.gives_up_s is not None:
        return model.gives_up_s
    timeout = _timeout(model, config)
    if model.timeout_is_whole:
        return timeout
    servers = max(1, len(config.nameservers))
    return tries_of(model, config) * sum(_waits(model, timeout, servers))


def _timeout(model: ResolverModel, config: ResolverConfig) -> float:
    if "timeout" in model.options:
        return config.number("timeout", model.timeout, MAX_TIMEOUT)
    return model.timeout


def _waits(model: ResolverModel, timeout: float, servers: int) -> list[float]:
    """Return how long each nameserver is waited for in one attempt, in seconds."""
    if not model.timeout_grows:
        return [timeout] * servers
    later = (max(1, (int(timeout) << n) // servers) for n in range(1, servers))
    return [timeout, *map(float, later)]
