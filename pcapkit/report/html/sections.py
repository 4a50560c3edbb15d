"""The sections of a report, in the order in which a reader wants them.

Each row of SECTIONS is an id, a title, a function that prepares what its template shows (None: the
section is left out), and the template. Names stay plain text here; the templates escape them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pcapkit.model.results import Finding, Results, WhatIf
from pcapkit.model.series import Chain
from pcapkit.model.vocabulary import WASTE_CLASSES, WASTED_CLASSES
from pcapkit.report.html.plan import plan
from pcapkit.report.html.tables import MOST_ROWS, Context, table
from pcapkit.report.text.formatting import iso_time, number, percent, printable, seconds
from pcapkit.report.text.plans import beside_plan, safety_text, safety_title
from pcapkit.report.text.wording import (
    FEWEST,
    action_text,
    certainty_text,
    client_names,
    client_texts,
    overall,
    predicted,
    queries_text,
    setting_text,
)

_MOST_NAMED = 5


def beside(analysis: Results) -> Context | None:
    """Advice that is no step of the plan."""
    who = client_texts(analysis)
    rows = [
        {
            "action": action_text(a, who),
            "saves": f"saves {queries_text(a.saves_queries)}, {percent(a.saves_share)}"
            + (f", {number(a.saves_upstream)} of them upstream" if a.saves_upstream else "")
            + (f"; {seconds(a.saves_s)} of lookup time" if a.saves_s else ""),
            "safety": a.safety.value,
            "said": safety_text(a.safety, a.coverage),
            "reasons": [printable(r) for r in a.reasons],
            "clients": ", ".join(printable(c) for c in a.clients) if len(a.clients) > 1 else "",
            "patches": [(name, text.rstrip("\n")) for name, text in a.patches.items()],
        }
        for a in beside_plan(analysis)
    ]
    return {"rows": rows} if rows else None


def settings(analysis: Results) -> Context | None:
    """Queries under each setting, for all clients and for each."""
    if not analysis.what_if_rows:
        return None
    alone = (
        len({(w.client_addr, w.container) for w in analysis.what_if_rows}) == 2
    )  # "all" says the same
    shown = overall(analysis) if alone else list(analysis.what_if_rows)
    columns = (
        "client",
        "setting",
        "#queries",
        "#wasted",
        "#upstream",
        "#leaked first",
        "#broken",
        "#assumed",
        "#p50",
        "#p95",
        safety_title(analysis),
    )
    who, names = client_texts(analysis), client_names(analysis)
    who_of = {of: who[called] for of, called in names.items()}
    rows = [
        (
            "all" if w.client_addr is None else _client(w, who_of),
            printable(setting_text(w.setting)) + (" (in force)" if w.observed else ""),
            number(w.queries),
            number(w.wasted_queries),
            number(w.upstream_queries),
            number(w.leaked_first),
            number(w.broken_lookups),
            number(w.assumed_queries),
            predicted(w.p50_s, w),
            predicted(w.p95_s, w),
            w.safety.value,
        )
        for w in shown[:MOST_ROWS]
    ]
    start = 1 if alone else 0  # one client needs no column
    return {
        "charts": ["ndots-settings"],
        "table": table(columns[start:], [row[start:] for row in rows], len(shown)),
        "open_rows": max(10, len(overall(analysis))),
        "why": _why(overall(analysis), who_of),
        "why_clients": []
        if alone
        else _why([w for w in shown if w.client_addr is not None], who_of),
    }


def _client(row: WhatIf, who: Mapping[tuple[str | None, str | None], str]) -> str:
    return who.get((row.client_addr, row.container), row.client_addr or "")


def _why(rows: Sequence[WhatIf], who: Mapping[tuple[str | None, str | None], str]) -> list[Context]:
    """Why settings are not safe; those of a client that share their reasons stand together."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for w in rows[:MOST_ROWS]:
        if w.reasons:
            key = (_client(w, who), w.safety.value, w.reasons)
            groups.setdefault(key, []).append(printable(setting_text(w.setting)))
    return [
        {
            "client": client,
            "safety": safety,
            "settings": ", ".join(settings),
            "reasons": printable("; ".join(reasons)),
        }
        for (client, safety, reasons), settings in groups.items()
    ]


def where(analysis: Results) -> Context | None:
    """Names, clients and suffixes that waste."""
    if not analysis.name_rows:
        return None
    names = [
        (
            printable(n.base_name),
            number(n.wasted_queries),
            number(n.queries),
            number(n.lookups),
            seconds(n.search_s),
            number(n.clients),
            n.kind,
            printable(n.fqdn or ""),
        )
        for n in analysis.name_rows[:MOST_ROWS]
    ]
    who, called = client_texts(analysis), client_names(analysis)
    clients = [
        (
            who[called[c.client_addr, c.container]],
            number(c.wasted_queries),
            number(c.queries),
            percent(c.wasted_queries / c.queries) if c.queries else "",
            c.namespace or "",
            "several" if c.mixture else c.resolver.rules,
            f"{c.ndots.value} ({c.ndots.low} to {c.ndots.high}, {c.ndots.source})",
            printable(", ".join(c.search))
            + (f" ({c.dns_policy.value})" if c.dns_policy.value else ""),
        )
        for c in analysis.client_rows[:MOST_ROWS]
    ]
    suffixes = [
        (printable(s.suffix), number(s.wasted_queries), number(s.queries), number(s.answers))
        for s in analysis.suffixes
    ]
    return {
        "charts": ["waste-by-class", "worst-names", "clients"],
        "names": table(
            (
                "@name",
                "#wasted",
                "#queries",
                "#lookups",
                "#time lost",
                "#clients",
                "kind",
                "@answered by",
            ),
            names,
            len(analysis.name_rows),
        ),
        "clients": table(
            (
                "client",
                "#wasted",
                "#queries",
                "#share",
                "namespace",
                "resolver",
                "ndots",
                "@search list (dnsPolicy)",
            ),
            clients,
            len(analysis.client_rows),
        ),
        "suffixes": table(("@suffix", "#wasted", "#queries", "#answers"), suffixes, len(suffixes)),
    }


def _chain(chain: Chain, who: Mapping[str, str]) -> Context:
    packets = sorted(
        {s.query_packet_no for s in chain.steps}
        | {s.response_packet_no for s in chain.steps if s.response_packet_no is not None}
    )
    rows = [
        (
            printable(s.candidate),
            s.qtype,
            s.outcome,
            s.waste_class.replace("_", " "),
            number(s.query_packet_no),
            "" if s.response_packet_no is None else number(s.response_packet_no),
            seconds(s.start_s) if chain.start_time is not None else "",
            seconds(s.rtt_s),
            number(s.retries),
        )
        for s in chain.steps
    ]
    wasted = sum(s.waste_class in WASTED_CLASSES for s in chain.steps)
    client = who.get(chain.client_addr, chain.client_addr)
    return {
        "name": printable(chain.base_name),
        "about": f"lookup {chain.lookup_id} of {client} in {printable(chain.capture)}: "
        f"{wasted} of {len(chain.steps)} queries wasted",
        "filter": "frame.number in {" + ", ".join(_ranges(packets)) + "}",
        "table": table(
            (
                "@candidate",
                "type",
                "outcome",
                "class",
                "#query packet",
                "#response packet",
                "#after",
                "#took",
                "#retries",
            ),
            rows,
            len(rows),
        ),
    }


def _ranges(ascending: Sequence[int]) -> list[str]:
    """Return numbers as Wireshark writes sets: ``1..3``, ``7``."""
    out: list[list[int]] = []
    for value in ascending:
        if out and out[-1][-1] == value - 1:
            out[-1][1:] = [value]
        else:
            out.append([value])
    return ["..".join(map(str, ends)) for ends in out]


def chains(analysis: Results) -> Context | None:
    """Lookups that wasted most, step by step."""
    if not analysis.chains:
        return None
    who = client_texts(analysis)
    return {"charts": ["chain"], "chains": [_chain(c, who) for c in analysis.chains]}


def when(analysis: Results) -> Context | None:
    """Queries over time."""
    enough = analysis.timeline.start_time is not None and analysis.waste.queries >= FEWEST
    return {"charts": ["timeline"]} if enough else None


def how_long(analysis: Results) -> Context | None:
    """Latency, with and without the wasted steps."""
    lookups = analysis.lookup_counts
    if lookups.p50_s is None:
        return None
    return {
        "charts": ["latency"],
        "sentence": f"Complete lookups took {seconds(lookups.p50_s)} in the middle, "
        f"{seconds(lookups.p95_s)} at the 95th and {seconds(lookups.p99_s)} at the "
        f"99th percentile; {seconds(analysis.waste.wasted_s)} in all passed before the "
        "right name was asked.",
    }


#: Keys of a finding's evidence that have a form of their own on the page.
_SHOWN_APART = ("names", "examples", "display_filter")


def _plain(key: str, value: object) -> str:
    """Return one value of a finding's evidence as a reader wants to see it."""
    if isinstance(value, float):
        return seconds(value) if key.endswith("_s") else f"{value:,.3f}"
    if isinstance(value, int):
        return number(value)
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')}: {_plain(k, v)}" for k, v in value.items())
    if isinstance(value, list):
        return "; ".join(_plain("", v) for v in value)
    return printable(str(value))


def _what(key: str) -> str:
    """Return a key of the evidence in words."""
    return "time lost" if key == "lost_s" else key.removesuffix("_s").replace("_", " ")


def _facts(evidence: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what a finding counted; rows about subjects are a table of their own."""
    for key, value in evidence.items():
        if key in _SHOWN_APART or _is_table(value):
            continue
        for part in value if isinstance(value, list) else [value]:
            yield _what(key), _plain(key, part)


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) and "subject" in v for v in value)


def _subjects(evidence: Mapping[str, Any]) -> Context | None:
    """A table of the subjects that a finding is about: nameservers, suffixes ..."""
    for key, rows in evidence.items():
        if key not in _SHOWN_APART and _is_table(rows):
            columns = list(dict.fromkeys(k for row in rows for k in row if k != "subject"))
            cells = [
                (printable(row["subject"]), *(_plain(k, row.get(k, "")) for k in columns))
                for row in rows
            ]
            signs = ["" if any(isinstance(r.get(k), list) for r in rows) else "#" for k in columns]
            titles = [sign + _what(k) for sign, k in zip(signs, columns, strict=True)]
            return table((f"@{_what(key).removesuffix('s')}", *titles), cells, len(cells))
    return None


def _finding(finding: Finding, who: Mapping[str, str]) -> Context:
    evidence: Mapping[str, Any] = finding.evidence
    names = [(printable(n["name"]), number(n["count"])) for n in evidence.get("names", ())]
    examples = [
        (
            printable(e["name"]),
            e["client_addr"],
            printable(e["capture"].rpartition("/")[2]),
            ", ".join(str(p) for p in e["packets"]),
        )
        for e in evidence.get("examples", ())
    ]
    clients = ", ".join(who.get(c, c) for c in finding.clients[:_MOST_NAMED])
    if (more := len(finding.clients) - _MOST_NAMED) > 0:
        clients += f" and {number(more)} more"
    return {
        "code": finding.code,
        "title": finding.title,
        "severity": finding.severity.value,
        "doubt": certainty_text(finding),
        "excludes": [printable(rival) for rival in finding.excludes],
        "clients": clients,
        "meaning": finding.meaning,
        "action": finding.action,
        "facts": list(_facts(evidence)),
        "subjects": _subjects(evidence),
        "names": table(("@name", "#count"), names, len(names)),
        "examples": table(("@name", "client", "@capture", "packets"), examples, len(examples)),
        "filter": evidence.get("display_filter"),
    }


def faults(analysis: Results) -> Context | None:
    """What is wrong beside waste: what it means, what to do, and the packets that show it."""
    if not analysis.findings:
        return None
    who = client_texts(analysis)
    return {"findings": [_finding(f, who) for f in analysis.findings]}


_POINTS = {
    "pod": "The capture looks from a pod",
    "node": "The capture looks from a node",
    "cluster_dns": "The capture looks from the cluster’s DNS server",
    "upstream": "The capture looks at what the cluster’s DNS server asks upstream",
    "unknown": "From where the capture looks is not certain",
}


def unseen(analysis: Results) -> Context | None:
    """What the capture could not show."""
    ledger, waste = analysis.packets, analysis.waste
    rows = [
        ("packets with messages", number(ledger.with_messages)),
        ("duplicates of packets", number(ledger.duplicates)),
    ]
    rows += [
        (f"skipped: {reason.replace('_', ' ')}", number(n)) for reason, n in ledger.skipped.items()
    ]
    rows.append(("packets in all", number(ledger.total)))
    cut = analysis.lookup_counts.total - analysis.lookup_counts.complete
    lost = waste.by_class["incomplete"]
    begun = "lookup began before the capture or went on after it; its"
    if cut != 1:
        begun = "lookups began before the capture or went on after it; their"
    sentence = f"{number(cut)} {begun} {queries_text(lost)} "
    sentence += f"count{'s' if lost == 1 else ''} in no saving."
    if not cut:
        sentence = "No lookup is cut by the beginning or the end of the capture."
    vantage = analysis.vantage
    servers = [
        (
            s.server_addr,
            printable(s.name or ""),
            s.role.replace("_", " "),
            number(s.clients),
            number(s.queries),
            number(s.tcp_queries),
        )
        for s in vantage.servers
    ]
    return {
        "sentence": sentence,
        "point": _POINTS[vantage.point] + "".join(f": {printable(e)}" for e in vantage.evidence),
        "unseen": [printable(text) for text in vantage.unseen],
        "servers": table(
            ("server", "@name", "role", "#clients", "#queries", "#over TCP"),
            servers[:MOST_ROWS],
            len(servers),
        ),
        "warnings": [printable(w) for w in analysis.warnings],
        "ledger": table(("what", "#packets"), rows, len(rows)),
    }


def _given(value: object) -> str:
    """Return the value of an option as a reader wants to see it."""
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_given(v)}" for k, v in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def how_computed(analysis: Results) -> Context | None:
    """Inputs, versions and definitions."""
    captures = [
        (
            printable(c.path),
            c.format + (f" ({c.compression})" if c.compression else ""),
            " ".join(c.link_types),
            number(c.packets),
            iso_time(c.first_time) or "",
            seconds(c.duration_s),
        )
        for c in analysis.captures
    ]
    classes = [
        (c.replace("_", " "), number(analysis.waste.by_class[c]))
        for c in WASTE_CLASSES
        if analysis.waste.by_class[c]
    ]
    classes.append(("all queries", number(analysis.waste.queries)))
    return {
        "version": analysis.pcapkit_version,
        "options": printable(", ".join(f"{k}: {_given(v)}" for k, v in analysis.options.items())),
        "captures": table(
            ("@capture", "format", "link", "#packets", "first packet", "#lasted"),
            captures,
            len(captures),
        ),
        "classes": table(("class", "#queries"), classes, len(classes)),
    }


SECTIONS: tuple[tuple[str, str, Callable[[Results], Context | None], str], ...] = (
    ("plan", "The plan", plan, "plan.html"),
    ("what-to-do", "Beside the plan", beside, "beside.html"),
    ("settings", "Queries under each setting", settings, "settings.html"),
    ("where", "Where the waste is", where, "where.html"),
    ("chains", "How a lookup goes wrong", chains, "chains.html"),
    ("when", "When", when, "picture.html"),
    ("how-long", "How long", how_long, "picture.html"),
    ("faults", "Faults", faults, "faults.html"),
    ("unseen", "What could not be seen", unseen, "unseen.html"),
    ("how-computed", "How this was computed", how_computed, "how_computed.html"),
)
