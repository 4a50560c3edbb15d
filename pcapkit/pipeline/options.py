"""What the user says about a capture: facts here beat inferred ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, Unpack

from pcapkit.addresses import Network, parse_client, parse_network
from pcapkit.cluster.conventions import CLUSTER_DOMAIN
from pcapkit.cluster.corefile import Corefile, read_corefile
from pcapkit.cluster.pods import Cluster, parse_pods
from pcapkit.errors import UsageError
from pcapkit.files import read_text
from pcapkit.names.text import fold, presentation, wire_from_text
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import MAX_NDOTS, ResolverConfig, parse_resolv_conf
from pcapkit.text import encodable


def parse_time(text: str, *, option: str) -> int:
    """Return nanoseconds since 1970 of ISO 8601 (UTC where no zone is given) or epoch seconds."""
    try:
        if text.replace(".", "", 1).isdecimal():
            whole, _, part = text.partition(".")
            return int(whole) * 1_000_000_000 + int(part.ljust(9, "0")[:9] or 0)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{option} {text!r}: write it as 2024-05-01T12:00:00Z or in seconds since 1970"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1_000


def read_resolv_conf(path: str) -> ResolverConfig:
    """Parse a resolv.conf file; raises InputError or, naming the line, UsageError."""
    return parse_resolv_conf(read_text(path), path=encodable(path))


def search_list(suffixes: Sequence[str]) -> tuple[str, ...]:
    """Return ``--search`` suffixes; raises UsageError where one is no domain name."""
    try:
        return tuple(presentation(suffix) for suffix in suffixes)
    except ValueError as problem:
        raise UsageError(f"--search: {problem}; write it as svc.cluster.local") from None


def _cluster_domain(text: str) -> str:
    """Return a cluster domain as it is compared; raises UsageError where it is no domain name."""
    try:
        wire_from_text(text)
    except ValueError as problem:
        raise UsageError(f"--cluster-domain: {problem}") from None
    if not fold(text).strip("."):
        raise UsageError("--cluster-domain: the root is no cluster domain")
    return fold(text)


def _domains(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(_cluster_domain, texts)))


def _ndots(value: int) -> int:
    if not 0 <= value <= MAX_NDOTS:
        raise UsageError(f"--ndots {value}: it is between 0 and {MAX_NDOTS}")
    return value


def _resolver(text: str) -> str:
    resolver_model(text)
    return text


#: (clients it is bound to or None, parsed file)
BoundFile = tuple[Network | None, ResolverConfig]


def _resolv_confs(texts: Sequence[str]) -> tuple[BoundFile, ...]:
    out: list[BoundFile] = []
    for text in texts:
        client, sep, path = text.partition("=")
        if sep and not Path(text).exists():
            out.append((parse_network(client, option="--resolv-conf"), read_resolv_conf(path)))
        else:
            out.append((None, read_resolv_conf(text)))
    return tuple(out)


def _pods(path: str) -> Cluster:
    return parse_pods(read_text(path), path="stdin" if path == "-" else encodable(path))


def _clients(texts: Sequence[str]) -> tuple[Network | str, ...]:
    return tuple(parse_client(t, option="--client") for t in texts)


@dataclass(frozen=True, slots=True)
class Options:
    """The reading options; see ``make_options`` for the checked form of what a user typed."""

    search: tuple[str, ...] = ()
    ndots: int | None = None
    resolver: str | None = None
    resolv_confs: tuple[BoundFile, ...] = ()
    cluster_domains: tuple[str, ...] = ()
    corefile: Corefile | None = None
    pods: Cluster = field(default_factory=Cluster)
    clients: tuple[Network | str, ...] = ()
    ports: frozenset[int] = frozenset()
    time_from: int | None = None
    time_to: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return the options that were set, as JSON values."""
        rows = {row.field: row for row in READING_OPTIONS}
        out: dict[str, object] = {}
        for f in fields(self):
            row = rows[f.name]
            value = getattr(self, f.name)
            if value is not None and (shown := row.to_json(value)) not in (None, []):
                out[row.key] = shown
        return out


@dataclass(frozen=True, slots=True)
class ReadingOption:
    """One option: how it is typed, what is made of that, and how it is written into JSON.

    ``keyword`` is what ``make_options`` calls it, ``field`` where ``Options`` keeps it, ``key`` its
    name in JSON. ``read`` takes what was typed, a sequence where ``several`` may be given, and
    raises UsageError or InputError; ``bounds`` are those of a whole number, other values are text.
    """

    flag: str
    keyword: str
    field: str
    key: str
    metavar: str
    help: str
    read: Callable[[Any], object]
    to_json: Callable[[Any], object]
    several: bool = False
    bounds: tuple[int, int] | None = None


def _same(value: object) -> object:
    return value


def _sequence(value: Any) -> Any:
    """Return one text or number as a sequence of one, which a caller in Python easily forgets."""
    return (value,) if isinstance(value, (str, int, Path)) else value


#: In the order in which the command line lists them.
READING_OPTIONS: tuple[ReadingOption, ...] = (
    ReadingOption(
        "--resolv-conf",
        "resolv_conf",
        "resolv_confs",
        "resolv_conf",
        "[CLIENT=]FILE",
        "The pods' resolv.conf, or that of one client or block.",
        _resolv_confs,
        lambda files: [f"{bound}={file.path}" if bound else file.path for bound, file in files],
        several=True,
    ),
    ReadingOption(
        "--search",
        "search",
        "search",
        "search",
        "SUFFIX",
        "A search suffix; repeat in order.",
        search_list,
        list,
        several=True,
    ),
    ReadingOption(
        "--ndots",
        "ndots",
        "ndots",
        "ndots",
        "N",
        "The ndots that the pods have.",
        _ndots,
        _same,
        bounds=(0, MAX_NDOTS),
    ),
    ReadingOption(
        "--resolver",
        "resolver",
        "resolver",
        "resolver",
        "MODEL[@RELEASE]",
        "glibc, musl, go, c-ares@1.27, hickory, dnsjava, grpc, jndi, busybox ...",
        _resolver,
        _same,
    ),
    ReadingOption(
        "--cluster-domain",
        "cluster_domains",
        "cluster_domains",
        "cluster_domains",
        "ZONE",
        f"The cluster domain, if not {CLUSTER_DOMAIN}.",
        _domains,
        list,
        several=True,
    ),
    ReadingOption(
        "--corefile",
        "corefile",
        "corefile",
        "corefile",
        "FILE",
        "A Corefile, or the ConfigMap that holds it.",
        read_corefile,
        Corefile.to_json,
    ),
    ReadingOption(
        "--pods",
        "pods",
        "pods",
        "pods",
        "FILE",
        "What 'kubectl get pods,services -A -o json' prints, or -.",
        _pods,
        lambda cluster: cluster.path or None,
    ),
    ReadingOption(
        "--client",
        "clients",
        "clients",
        "clients",
        "ADDR|CIDR|NAME",
        "Only these clients; a name where the capture shows one instead of an address.",
        _clients,
        lambda clients: [str(c) for c in clients],
        several=True,
    ),
    ReadingOption(
        "--port",
        "ports",
        "ports",
        "ports",
        "N",
        "Another port that carries DNS, besides 53.",
        frozenset,
        sorted,
        several=True,
        bounds=(1, 65535),
    ),
    ReadingOption(
        "--from",
        "time_from",
        "time_from",
        "from",
        "TIME",
        "Leave out what came before (ISO 8601 or epoch seconds).",
        partial(parse_time, option="--from"),
        _same,
    ),
    ReadingOption(
        "--to",
        "time_to",
        "time_to",
        "to",
        "TIME",
        "Leave out what came after.",
        partial(parse_time, option="--to"),
        _same,
    ),
)


class Given(TypedDict, total=False):
    """The reading options as a caller gives them, by their keywords; what is left out is None."""

    search: Sequence[str]  #: suffixes, in their order
    ndots: int | None  #: 0 to 15
    resolver: str | None  #: a model, as ``musl`` or ``c-ares@1.27``
    resolv_conf: Sequence[str]  #: files, or ``CLIENT=FILE``
    cluster_domains: Sequence[str]
    corefile: str | None  #: a file
    pods: str | None  #: a file
    clients: Sequence[str]  #: addresses, blocks, or names where the capture has no addresses
    ports: Sequence[int]
    time_from: str | None  #: ISO 8601, or seconds since 1970
    time_to: str | None


def make_options(**given: Unpack[Given]) -> Options:
    """Check and translate what a user gave; a text stands for a sequence that holds it alone.

    Raises UsageError, or InputError for a file that cannot be read.
    """
    typed: Mapping[str, Any] = given
    if unknown := set(typed) - {row.keyword for row in READING_OPTIONS}:
        known = ", ".join(row.keyword for row in READING_OPTIONS)
        raise UsageError(f"no option {', '.join(sorted(unknown))}; there are: {known}")
    values = {
        row.field: row.read(_sequence(typed[row.keyword]) if row.several else typed[row.keyword])
        for row in READING_OPTIONS
        if typed.get(row.keyword) is not None
    }
    options = Options(**values)  # type: ignore[arg-type]
    if options.corefile is None:
        return options
    domains = dict.fromkeys((*options.cluster_domains, *options.corefile.zones))
    return replace(options, cluster_domains=tuple(domains))
