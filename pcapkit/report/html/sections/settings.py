"""What other settings would have sent: for all clients together, and for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pcapkit.model.clients import Client
from pcapkit.model.results import Results, WhatIf
from pcapkit.model.settings import Change
from pcapkit.model.vocabulary import Safety
from pcapkit.report.html.sections.tables import Context, export_of, table
from pcapkit.report.text.formatting import number, printable
from pcapkit.report.text.plans import best_plan, safety_title
from pcapkit.report.text.wording import (
    client_names,
    client_texts,
    judged_queries,
    overall,
    predicted,
    setting_text,
)
from pcapkit.words import seconds

#: Rows that are open where there is a script.
_MATTER = 6
#: Values of ndots that people set; what they would do is asked first.
_USUAL = (1, 2)
_Key = tuple[str | None, str | None]


def settings(analysis: Results) -> Context | None:
    """Queries under each setting, for all clients and for each."""
    if not analysis.what_if_rows:
        return None
    together, limits = overall(analysis), analysis.limits
    single = [w for w in analysis.what_if_rows if w.client_addr is not None]
    if len({(w.client_addr, w.container) for w in single}) == 1:
        single = []  # "all" says the same
    columns = (
        "setting",
        "#queries",
        "#wasted",
        "#sent upstream",
        "#cluster names upstream first",
        "#lookups broken",
        "#assumed",
        "#p50",
        "#p95",
        safety_title(analysis),
    )
    matter = _that_matter(analysis, together)
    rows = [_cells(w) for w in (*matter, *(w for w in together if w not in matter))]
    now = [n for n, w in enumerate(matter) if w.observed]
    if not now:
        rows.insert(0, _seen(analysis))
        now = [0]
    context = {
        "charts": ["ndots-settings"],
        "table": table(
            "queries under each setting", columns, rows, limits=limits, first=_MATTER, marked=now
        ),
        "why": _why(together, {}),
        "clients": None,
        "why_clients": [],
    }
    if single:
        who = client_texts(analysis)
        names = {of: who[called] for of, called in client_names(analysis).items()}
        cells, marked = _of_clients(analysis, single, names)
        context["clients"] = table(
            "queries of each client",
            ("@client", *columns),
            cells,
            len(single),
            limits=limits,
            first=2 * _MATTER,
            rest=export_of(analysis, "what_if"),
            marked=marked,
        )
        context["why_clients"] = _why(single[: limits.page_rows], names)
    return context


def _that_matter(analysis: Results, rows: Sequence[WhatIf]) -> list[WhatIf]:
    """Return what is there now, the usual changes, and those that send least and break nothing."""
    best = best_plan(analysis)
    asked = {*_USUAL, *(s.ndots for s in (best.steps if best else ()) if s.ndots is not None)}
    room = _MATTER - (not any(w.observed for w in rows))

    def rank(row: WhatIf) -> tuple[int, int]:
        usual = row.ndots in asked or row.setting.is_fqdn_of_all
        place = 0 if row.observed else 1 if usual else 3 if row.safety is Safety.UNSAFE else 2
        return place, row.queries

    kept = sorted(rows, key=rank)[:room]
    return [w for w in rows if w in kept]


def _cells(w: WhatIf) -> tuple[str, ...]:
    is_now = w.observed and w.setting.change is not Change.NOTHING
    return (
        printable(setting_text(w.setting)) + (" (now)" if is_now else ""),
        number(w.queries),
        number(w.wasted_queries),
        number(w.upstream_queries),
        number(w.leaked_first),
        number(w.broken_lookups),
        number(w.assumed_queries),
        predicted(w.p50_s, w),
        predicted(w.p95_s, w),
        "" if w.observed else w.safety.value,
    )


def _seen(analysis: Results) -> tuple[str, ...]:
    """Return what clients of different settings sent, each with its own."""
    lookups, plan = analysis.lookup_counts, best_plan(analysis)
    return (
        "now, each client with its own",
        number(judged_queries(analysis)),
        number(analysis.waste.wasted_queries),
        "" if plan is None else number(plan.before.upstream_queries),
        "",
        "0",
        "0",
        seconds(lookups.p50_s),
        seconds(lookups.p95_s),
        "",
    )


def _of_clients(
    analysis: Results, rows: Sequence[WhatIf], names: Mapping[_Key, str]
) -> tuple[list[tuple[str, ...]], list[int]]:
    """Return the rows of single clients, and the places of what each of them sends now."""
    periods: dict[_Key, list[Client]] = {}
    for client in analysis.client_rows:
        periods.setdefault((client.client_addr, client.container), []).append(client)
    told = {(w.client_addr, w.container) for w in rows if w.observed}
    cells: list[tuple[str, ...]] = []
    marked = []
    for w in rows[: analysis.limits.page_rows]:
        key = (w.client_addr, w.container)
        who = names.get(key, w.client_addr or "")
        if w.observed:
            marked.append(len(cells))
        elif key not in told:
            told.add(key)
            marked.append(len(cells))
            of = periods.get(key, [])
            counts = [number(sum(c.queries for c in of)), number(sum(c.wasted_queries for c in of))]
            cells.append((who, "now, as seen", *counts, *[""] * 7))
        cells.append((who, *_cells(w)))
    return cells, marked


def _why(rows: Sequence[WhatIf], who: Mapping[_Key, str]) -> list[Context]:
    """Why settings are not safe; those of a client that share their reasons stand together."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for w in rows:
        if w.reasons and not w.observed:
            client = who.get((w.client_addr, w.container), w.client_addr or "")
            texts = groups.setdefault((client, w.safety.value, w.reasons), [])
            texts.append(printable(setting_text(w.setting)))
    return [
        {
            "client": client,
            "safety": safety,
            "settings": ", ".join(settings),
            "reasons": [printable(r) for r in reasons],
        }
        for (client, safety, reasons), settings in groups.items()
    ]
