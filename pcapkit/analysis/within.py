"""Results within the limits: what they list, and what is said of all that they do not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pcapkit.limits import OTHER_CLIENTS, OTHER_NAMES, OTHER_SERVERS, Limits, crossed
from pcapkit.model.clients import Server, Vantage
from pcapkit.model.results import UNNAMED_CLIENTS, Finding, Results, WhatIf
from pcapkit.words import counted


def left_out_warnings(
    sequences: int, crowded: int, without_plans: int, limits: Limits
) -> Iterator[str]:
    """Say what was not looked at, or not made.

    ``sequences`` of names from which no search list was inferred, ``crowded`` lookups that ended
    because a name was asked for too many types, subjects ``without_plans``.
    """
    if sequences:
        yield (
            f"search lists were inferred without {counted(sequences, 'sequence')} of names "
            f"({crossed('client_names', limits)})"
        )
    if crowded:
        yield (
            f"{counted(crowded, 'lookup')} asked for more types of a name than a lookup may: the "
            f"further ones began other lookups ({crossed('name_types', limits)})"
        )
    if without_plans:
        which = _such(
            without_plans,
            "workload, namespace or client that wastes least has no plan of its own",
            "workloads, namespaces or clients that waste least have no plan of their own",
        )
        yield f"{which} ({crossed('plans', limits)})"


def within_limits(results: Results, left_out: Iterable[str]) -> Results:
    """Return the results with no more rows than their limits allow, and what is said of others.

    ``left_out`` are warnings of other limits. However many others there are, these are told.
    """
    limits, most = results.limits, results.limits.clients
    clients = len({c.client_addr for c in results.client_rows}) + results.other_clients.count
    advice = results.recommendations[: limits.recommendations]
    cut = replace(
        results,
        vantage=_with_servers(results.vantage, limits.servers, clients),
        what_if_rows=_of_first_clients(results.what_if_rows, limits.what_if),
        findings=tuple(_naming(finding, most) for finding in results.findings),
        recommendations=tuple(replace(a, clients=a.clients[:most]) for a in advice),
        plans=tuple(replace(p, clients=p.clients[:most]) for p in results.plans),
    )
    return replace(cut, warnings=(*_told(cut.warnings, limits), *left_out, *_of_rows(results)))


def _of_rows(results: Results) -> Iterator[str]:
    """Say of which rows there are more than are listed."""
    limits, clients, names = results.limits, results.other_clients, results.other_names
    if clients.count:
        limit = "clients" if len(results.client_rows) >= limits.clients else "row_characters"
        which = _such(
            clients.count,
            "row of a client that wastes least is",
            "rows of clients that waste least are",
        )
        yield f"{which} summed as '{OTHER_CLIENTS}' ({crossed(limit, limits)})"
    if names.count:
        limit = "names" if len(results.name_rows) >= limits.names else "row_characters"
        which = _such(names.count, "name that wastes least is", "names that waste least are")
        yield f"{which} summed as '{OTHER_NAMES}' ({crossed(limit, limits)})"
    listed = _of_first_clients(results.what_if_rows, limits.what_if)
    if rest := {(w.client_addr, w.container) for w in results.what_if_rows[len(listed) :]}:
        which = _such(
            len(rest),
            "client of those that waste least has",
            "clients of those that waste least have",
        )
        yield f"{which} no what-if rows ({crossed('what_if', limits)})"
    if (servers := len(results.vantage.servers) - limits.servers) > 0:
        which = _such(
            servers, "server that was asked least is", "servers that were asked least are"
        )
        yield f"{which} summed as '{OTHER_SERVERS}' ({crossed('servers', limits)})"
    if (translations := len(results.vantage.translations) - limits.servers) > 0:
        which = _such(translations, "translation of an address is", "translations of addresses are")
        yield f"{which} not listed ({crossed('servers', limits)})"
    if (advice := len(results.recommendations) - limits.recommendations) > 0:
        which = _such(
            advice,
            "recommendation behind the first ones is",
            "recommendations behind the first ones are",
        )
        yield f"{which} not listed ({crossed('recommendations', limits)})"


def _such(count: int, one: str, several: str) -> str:
    """Return the beginning of a sentence about so many: of ``one``, or of ``several``."""
    return f"{count:,} {one if count == 1 else several}"


def _with_servers(vantage: Vantage, most: int, clients: int) -> Vantage:
    """List the busiest servers, the others as one row, and the translations of most packets."""
    servers, translations = vantage.servers, vantage.translations
    if rest := servers[most:]:
        other = Server(
            OTHER_SERVERS,
            "other",
            None,
            min(clients, sum(s.clients for s in rest)),
            sum(s.queries for s in rest),
            sum(s.tcp_queries for s in rest),
        )
        servers = (*servers[:most], other)
    if len(translations) > most:
        busiest = sorted(translations, key=lambda t: (-t.packets, t.before, t.after))[:most]
        translations = tuple(sorted(busiest, key=lambda t: (t.before, t.after)))
    return replace(vantage, servers=servers, translations=translations)


def _of_first_clients(rows: tuple[WhatIf, ...], most: int) -> tuple[WhatIf, ...]:
    """Return the rows of all clients together, and all of the first clients, so many at most."""
    end = most + sum(row.client_addr is None for row in rows)
    if len(rows) <= end:
        return rows
    beyond = rows[end].client_addr, rows[end].container
    while end and (rows[end - 1].client_addr, rows[end - 1].container) == beyond:
        end -= 1
    return rows[:end]


def _naming(finding: Finding, most: int) -> Finding:
    """Return a finding that names no more clients, those that it is about most."""
    if (others := len(finding.clients) - most) <= 0:
        return finding
    evidence = {**finding.evidence, UNNAMED_CLIENTS: others}
    return replace(finding, clients=finding.clients[:most], evidence=evidence)


def _told(warnings: tuple[str, ...], limits: Limits) -> tuple[str, ...]:
    if (more := len(warnings) - limits.warnings) <= 0:
        return warnings
    return (
        *warnings[: limits.warnings],
        f"{counted(more, 'further warning')} ({crossed('warnings', limits)})",
    )
