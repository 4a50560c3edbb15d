"""What the user says about a capture: facts here beat inferred ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pcapkit.addresses import Network, parse_network
from pcapkit.cluster.corefile import Corefile, read_corefile
from pcapkit.cluster.pods import Cluster, parse_pods
from pcapkit.errors import UsageError
from pcapkit.files import read_text
from pcapkit.names.text import fold, wire_from_text
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig, parse_resolv_conf
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


def _shown(path: str) -> str:
    return "stdin" if path == "-" else encodable(path)


def search_list(suffixes: Sequence[str]) -> tuple[str, ...]:
    """Return ``--search`` suffixes; raises UsageError where one is no domain name."""
    for suffix in suffixes:
        try:
            wire_from_text(suffix)
        except ValueError as problem:
            raise UsageError(f"--search: {problem}; write it as svc.cluster.local") from None
    return tuple(suffixes)


@dataclass(frozen=True, slots=True)
class Options:
    """The reading options; see ``make_options`` for the checked form of what a user typed."""

    search: tuple[str, ...] = ()
    ndots: int | None = None
    resolver: str | None = None
    #: (clients it is bound to or None, parsed file)
    resolv_confs: tuple[tuple[Network | None, ResolverConfig], ...] = ()
    cluster_domains: tuple[str, ...] = ()
    corefile: Corefile | None = None
    pods: Cluster = field(default_factory=Cluster)
    clients: tuple[Network, ...] = ()
    ports: frozenset[int] = frozenset()
    time_from: int | None = None
    time_to: int | None = None

    def to_json(self) -> dict[str, object]:
        """Return the options that were set, as JSON values."""
        out: dict[str, object] = {
            "search": list(self.search),
            "ndots": self.ndots,
            "resolver": self.resolver,
            "resolv_conf": [f"{n}={c.path}" if n else c.path for n, c in self.resolv_confs],
            "cluster_domains": list(self.cluster_domains),
            "corefile": None if self.corefile is None else self.corefile.to_json(),
            "pods": self.pods.path or None,
            "clients": [str(n) for n in self.clients],
            "ports": sorted(self.ports),
            "from": self.time_from,
            "to": self.time_to,
        }
        return {key: value for key, value in out.items() if value not in (None, [])}


def make_options(
    *,
    search: Sequence[str] = (),
    ndots: int | None = None,
    resolver: str | None = None,
    resolv_conf: Sequence[str] = (),
    cluster_domains: Sequence[str] = (),
    corefile: str | None = None,
    pods: str | None = None,
    clients: Sequence[str] = (),
    ports: Sequence[int] = (),
    time_from: str | None = None,
    time_to: str | None = None,
) -> Options:
    """Check and translate what a user typed.

    Raises UsageError, or InputError for a file that cannot be read.
    """
    if resolver is not None:
        resolver_model(resolver)
    if ndots is not None and not 0 <= ndots <= 15:
        raise UsageError(f"--ndots {ndots}: it is between 0 and 15")
    configs: list[tuple[Network | None, ResolverConfig]] = []
    for text in resolv_conf:
        client, sep, path = text.partition("=")
        if sep and not Path(text).exists():
            configs.append((parse_network(client, option="--resolv-conf"), read_resolv_conf(path)))
        else:
            configs.append((None, read_resolv_conf(text)))
    domains = [cluster_domain(d) for d in cluster_domains]
    facts = None if corefile is None else read_corefile(corefile)
    if facts is not None:
        domains += facts.zones
    return Options(
        search=search_list(search),
        ndots=ndots,
        resolver=resolver,
        resolv_confs=tuple(configs),
        cluster_domains=tuple(dict.fromkeys(domains)),
        corefile=facts,
        pods=Cluster() if pods is None else parse_pods(read_text(pods), path=_shown(pods)),
        clients=tuple(parse_network(c, option="--client") for c in clients),
        ports=frozenset(ports),
        time_from=None if time_from is None else parse_time(time_from, option="--from"),
        time_to=None if time_to is None else parse_time(time_to, option="--to"),
    )


def cluster_domain(text: str) -> str:
    """Return a cluster domain as it is compared; raises UsageError where it is no domain name."""
    try:
        wire_from_text(text)
    except ValueError as problem:
        raise UsageError(f"--cluster-domain: {problem}") from None
    if not fold(text).strip("."):
        raise UsageError("--cluster-domain: the root is no cluster domain")
    return fold(text)
