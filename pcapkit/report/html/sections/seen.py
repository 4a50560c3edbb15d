"""What the capture could not show, and how all of it was computed."""

from __future__ import annotations

from pcapkit.model.results import Results
from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.report.html.sections.tables import Context, base_name, table
from pcapkit.report.text.formatting import iso_time, number, printable
from pcapkit.report.text.wording import queries_text
from pcapkit.words import seconds

_POINTS = {
    "pod": "Captured in a pod",
    "node": "Captured on a node",
    "cluster_dns": "Captured at the cluster’s DNS server",
    "upstream": "Captured where the cluster’s DNS server asks upstream",
    "unknown": "Where this was captured is not certain",
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
            "servers that were asked",
            ("@server", "@name", "role", "#clients", "#queries", "#over TCP"),
            servers,
            limits=analysis.limits,
        ),
        "warnings": _warnings(analysis),
        "ledger": table("every packet", ("what", "#packets"), rows, first=20),
    }


def _warnings(analysis: Results) -> list[str]:
    """Return the warnings, captures without their folders."""
    paths = sorted({c.path for c in analysis.captures if "/" in c.path}, key=len, reverse=True)
    warnings = []
    for text in analysis.warnings:
        where, colon, what = text.partition(": ")  # a path stands before what is said of it
        for path in paths:
            where = where.replace(path, base_name(path))
        warnings.append(printable(where + colon + what))
    return warnings


def _given(value: object) -> str:
    """Return the value of an option as a reader wants to see it."""
    if isinstance(value, dict):
        return ", ".join(f"{k.replace('_', ' ')} {_given(v)}" for k, v in value.items())
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def how_computed(analysis: Results) -> Context | None:
    """Inputs, versions and definitions."""
    captures = [
        (
            base_name(c.path),
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
            "captures",
            ("@capture", "format", "link", "#packets", "first packet", "#lasted"),
            captures,
            limits=analysis.limits,
            first=20,
        ),
        "classes": table("classes of queries", ("class", "#queries"), classes, first=20),
    }
