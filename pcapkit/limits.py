"""The named limits: how much of something is kept or read, so that no capture exhausts a machine.

Every limit has a name, a default, a unit, and one thing that happens where a capture crosses it; a
warning says so, and what the option ``--limit NAME=VALUE`` would change. Below its limits a capture
gives the same bytes whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields

#: What stands in the place of a client, a name and a server in the rows that hold the rest. No
#: address and no name in presentation form has a blank.
OTHER_CLIENTS, OTHER_NAMES = "other clients", "other names"
OTHER_SERVERS = "other servers"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one run, by their names; :data:`LIMITS` says what each is of."""

    clients: int = 10_000
    names: int = 100_000
    expansion_ratio: int = 200
    expansion_floor: int = 1 << 28
    expanded_bytes: int = 1 << 40
    compression_layers: int = 1
    continuation_characters: int = 1 << 16
    tcp_streams: int = 1 << 12
    tcp_bytes: int = 1 << 26
    fragmented_datagrams: int = 1 << 10
    fragment_bytes: int = 1 << 24
    dissected_packets: int = 200_000
    client_names: int = 1 << 18
    name_types: int = 1 << 8
    tunnel_layers: int = 24
    row_characters: int = 12_000_000
    what_if: int = 20_000
    servers: int = 10_000
    plans: int = 1_000
    recommendations: int = 1_000
    warnings: int = 200
    page_rows: int = 500
    page_characters: int = 500

    def changed(self) -> dict[str, int]:
        """Return those that differ from their defaults, by name."""
        defaults = asdict(DEFAULTS)
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: ``of`` says what is limited, ``crossed`` what happens beyond it."""

    name: str
    value: int
    unit: str
    of: str
    crossed: str


DEFAULTS = Limits()
_ABOUT: Mapping[str, tuple[str, str, str]] = {
    "clients": (
        "rows",
        "Rows of clients in the results: a row for each client and period of constant settings. A "
        "finding, a recommendation and a plan name no more clients either.",
        "The clients that waste most keep exact rows; the others are "
        f"summed in one row, '{OTHER_CLIENTS}'. Classes, shares and what all clients together "
        "would send count every client.",
    ),
    "names": (
        "rows",
        "Rows of names in the results.",
        "The names that waste most keep exact rows; the others are summed in one row, "
        f"'{OTHER_NAMES}'. Classes and shares count every name.",
    ),
    "expansion_ratio": (
        "times",
        "How many times longer than its stored bytes a compressed input may become.",
        "Reading stops there, as at the end of a file that is cut off: what came before is "
        "analysed. It counts from 'expansion_floor' on.",
    ),
    "expansion_floor": (
        "bytes",
        "Decompressed bytes up to which no expansion is too much.",
        "From here on 'expansion_ratio' counts.",
    ),
    "expanded_bytes": (
        "bytes",
        "Decompressed bytes of one input.",
        "Reading stops there: what came before is analysed.",
    ),
    "compression_layers": (
        "layers",
        "How often an input may be compressed, one compression within the other.",
        "The input is refused: nothing of it is read.",
    ),
    "continuation_characters": (
        "characters",
        "Text of one printed packet, its continuation lines included.",
        "The packet is read up to there. Its further lines are left out, and count as "
        "'other_event'.",
    ),
    "tcp_streams": (
        "streams",
        "TCP streams that wait for segments out of order at one time.",
        "The stream that has waited longest is given up: its segments count as 'tcp_continuation'.",
    ),
    "tcp_bytes": (
        "bytes",
        "Bytes that all such TCP streams hold together.",
        "As with 'tcp_streams'.",
    ),
    "fragmented_datagrams": (
        "datagrams",
        "Fragmented IP datagrams that wait for their other fragments at one time.",
        "The datagram that has waited longest is given up: of its first fragment what it shows is "
        "kept, the others count as 'fragment'. Fragments of it that come later wait anew.",
    ),
    "fragment_bytes": (
        "bytes",
        "Bytes that all waiting fragments hold together.",
        "As with 'fragmented_datagrams'.",
    ),
    "dissected_packets": (
        "packets",
        "Packets of one capture of rare link types, which are dissected one by one, some 3,500 in "
        "a second: these take about a minute. A limit in packets, not in time, so that a slow "
        "machine says the same as a fast one.",
        "Further ones are skipped as 'unknown_link_type'.",
    ),
    "client_names": (
        "sequences",
        "Distinct sequences of names, of one client or of some smaller ones together, from which "
        "search lists are inferred.",
        "Search lists are inferred from the first ones; every query is still counted in its class.",
    ),
    "name_types": (
        "types",
        "Query types of one name within one lookup.",
        "Further types begin another lookup, so that the work stays linear in the types.",
    ),
    "tunnel_layers": (
        "headers",
        "Headers of one packet, tunnels within tunnels among them. A stack of MPLS labels is one.",
        "The packet is skipped as 'too_many_headers'.",
    ),
    "row_characters": (
        "characters",
        "Characters of names in the rows of names, and of search lists (twice: dnsPolicy repeats "
        "them) in the rows of clients, as JSON writes them.",
        "Fewer rows than 'names' or 'clients' allow are kept: those that waste most. The others "
        f"are summed in '{OTHER_NAMES}' and '{OTHER_CLIENTS}'.",
    ),
    "what_if": (
        "rows",
        "What-if rows of single clients: some for each that has a row.",
        "The clients that waste most keep all of theirs, the others have none. The rows of all "
        "clients together count every client.",
    ),
    "servers": (
        "rows",
        "Rows of servers that were asked, and of address translations.",
        f"The busiest servers keep rows; the others are summed in one row, '{OTHER_SERVERS}'. Of "
        "address translations the ones of most packets are listed.",
    ),
    "plans": (
        "subjects",
        "Workloads, namespaces or clients that have plans of their own.",
        "Those that waste most have plans of their own. The plans of the whole capture count, and "
        "may change, all of them.",
    ),
    "recommendations": (
        "rows",
        "Recommendations in the results.",
        "Those that come first are listed; the plans of the whole capture are made of all settings "
        "and names.",
    ),
    "warnings": (
        "rows",
        "Warnings of one analysis.",
        "The first ones are told, and how many more there are.",
    ),
    "page_rows": (
        "rows",
        "Rows of one table of the page.",
        "The page shows the first ones and says how many there are; JSON and tables hold the rest.",
    ),
    "page_characters": (
        "characters",
        "Characters of one name or text in a table of the page.",
        "It ends in '…'; JSON and tables hold all of it.",
    ),
}
#: Values that make no sense beyond, and why.
_LARGEST: Mapping[str, tuple[int, str]] = {"name_types": (1 << 16, "there are no more types")}


def listed(limits: Limits = DEFAULTS) -> tuple[Limit, ...]:
    """Return every limit with its value."""
    values = asdict(limits)
    return tuple(Limit(f.name, values[f.name], *_ABOUT[f.name]) for f in fields(Limits))


def parse_limits(texts: Iterable[str]) -> Limits:
    """Read ``NAME=VALUE`` texts; the last of a name counts. Raises ValueError that says why."""
    known = {f.name for f in fields(Limits)}
    values: dict[str, int] = {}
    for text in texts:
        name, sep, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in known:
            raise ValueError(
                f"{text!r}: {name!r} is no limit; there are: {', '.join(sorted(known))}"
            )
        digits = value.strip().replace("_", "")
        if not sep or not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
            raise ValueError(f"{text!r}: write it as {name}=100000")
        if int(digits) < 1:
            raise ValueError(f"{text!r}: it is 1 or more")
        most, why = _LARGEST.get(name, (int(digits), ""))
        if int(digits) > most:
            raise ValueError(f"{text!r}: it is {most:,} at most; {why}")
        values[name] = int(digits)
    return Limits(**values)


def crossed(name: str, limits: Limits) -> str:
    """Return what a warning says of a limit that was crossed, and how to change it."""
    value = asdict(limits)[name]
    return f"limit {name}={value}; --limit {name}=N changes it, 'pcapkit explain {name}' says more"
