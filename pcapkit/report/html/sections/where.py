"""Where the waste is: names, the domains they are of, clients, suffixes."""

from __future__ import annotations

from pcapkit.model.results import Name, Results
from pcapkit.names.top_level import registered_domain
from pcapkit.report.html.sections.tables import Context, export_of, table
from pcapkit.report.text.formatting import number, percent, printable
from pcapkit.report.text.wording import client_names, client_texts, misses_text

#: Where no name has this share of the waste, single names say nothing.
_SAYS_SOMETHING = 0.02
#: So many names, those that waste most, are sorted by domain.
_MOST_SORTED = 20_000


def where(analysis: Results) -> Context | None:
    """Names, clients and suffixes that waste."""
    if not analysis.name_rows:
        return None
    suffixes = [
        (printable(s.suffix), number(s.wasted_queries), number(s.queries), number(s.answers))
        for s in analysis.suffixes
    ]
    return {
        "charts": ["waste-by-class", "worst-names", "clients"],
        "domains": _domains(analysis),
        "names": _names(analysis),
        "clients": _clients(analysis),
        "suffixes": table(
            "search suffixes",
            ("@suffix", "#wasted", "#queries", "#answers"),
            suffixes,
            limits=analysis.limits,
        ),
    }


def _names(analysis: Results) -> Context:
    rows = [
        (
            printable(n.base_name),
            number(n.wasted_queries),
            number(n.queries),
            number(n.lookups),
            misses_text(n.search_s),
            number(n.clients),
            n.kind.replace("_", " "),
            printable(n.fqdn or ""),
        )
        for n in analysis.name_rows[: analysis.limits.page_rows]
    ]
    return table(
        "names",
        (
            "@name",
            "#wasted",
            "#queries",
            "#lookups",
            "#lost to misses",
            "#clients",
            "kind",
            "@answered by",
        ),
        rows,
        len(analysis.name_rows) + analysis.other_names.count,
        limits=analysis.limits,
        rest=export_of(analysis, "names"),
    )


def _domains(analysis: Results) -> Context | None:
    """Return names by the domain that somebody registered, where single names say nothing."""
    wasted = analysis.waste.wasted_queries
    first = analysis.name_rows[0]
    if not wasted or first.wasted_queries >= _SAYS_SOMETHING * wasted:
        return None
    names = analysis.name_rows[: min(analysis.wasted_names, _MOST_SORTED)]
    groups: dict[str, list[Name]] = {}
    for name in names:
        groups.setdefault(registered_domain(name.base_name.rstrip(".").lower()), []).append(name)
    rows = sorted(
        ((sum(n.wasted_queries for n in of), domain, of) for domain, of in groups.items()),
        key=lambda row: (-row[0], row[1]),
    )
    return {
        "of": number(len(names)) if len(names) < analysis.wasted_names else "",
        "names": number(analysis.wasted_names),
        "share": percent(first.wasted_queries / wasted),
        "table": table(
            "registered domains",
            (
                "@domain",
                "#names",
                "#wasted",
                "#of the waste",
                "#queries",
                "#lookups",
                "#lost to misses",
            ),
            [
                (
                    printable(domain),
                    number(len(of)),
                    number(count),
                    percent(count / wasted),
                    number(sum(n.queries for n in of)),
                    number(sum(n.lookups for n in of)),
                    misses_text(sum(n.search_s for n in of)),
                )
                for count, domain, of in rows[: analysis.limits.page_rows]
            ],
            len(rows),
            limits=analysis.limits,
            rest=export_of(analysis, "names"),
        ),
    }


def _clients(analysis: Results) -> Context:
    who, called = client_texts(analysis), client_names(analysis)
    rows = [
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
        for c in analysis.client_rows[: analysis.limits.page_rows]
    ]
    return table(
        "clients",
        (
            "@client",
            "#wasted",
            "#queries",
            "#share",
            "namespace",
            "resolver",
            "ndots",
            "@search list (dnsPolicy)",
        ),
        rows,
        len(analysis.client_rows) + analysis.other_clients.count,
        limits=analysis.limits,
        rest=export_of(analysis, "clients"),
    )
