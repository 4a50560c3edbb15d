"""An analysis as JSON: schema ``pcapkit.analysis/1``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from operator import attrgetter

import msgspec

from pcapkit.model.audits import Workload
from pcapkit.model.clients import Client
from pcapkit.model.plans import Plan
from pcapkit.model.results import Finding, Name, Recommendation, Results, WhatIf
from pcapkit.report.text.formatting import iso_time

SCHEMA = "pcapkit.analysis/1"

_CAPTURE = (
    "path",
    "format",
    "compression",
    "link_types",
    "snaplen",
    "packets",
    "bytes",
    "first_time",
    "last_time",
    "duration_s",
    "truncated_tail",
)


def _keys(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def _with_rest(rows: Sequence[object], rest: object | None) -> Sequence[object]:
    """Return rows, and behind them the row of all that is beyond a limit, where anything is."""
    return rows if rest is None else (*rows, rest)


#: The parts that are rows: which rows, and their keys.
ROWS: Mapping[str, tuple[Callable[[Results], Sequence[object]], tuple[str, ...]]] = {
    "captures": (attrgetter("captures"), _CAPTURE),
    "clients": (lambda r: _with_rest(r.client_rows, r.other_clients.client), _keys(Client)),
    "workloads": (lambda r: _with_rest(r.workload_rows, r.other_clients.workload), _keys(Workload)),
    "names": (
        lambda r: _with_rest(r.name_rows, r.other_names.row),
        tuple(k for k in _keys(Name) if k != "by_class"),
    ),
    "what_if": (
        attrgetter("what_if_rows"),
        ("client_addr", "setting", "ndots", *_keys(WhatIf)[2:]),
    ),
    "findings": (attrgetter("findings"), _keys(Finding)),
    "recommendations": (attrgetter("recommendations"), _keys(Recommendation)),
    "plans": (attrgetter("plans"), _keys(Plan)),
}
#: Values that JSON has no form of its own for.
_TEXTS: Mapping[str, Callable[..., str | None]] = {
    "first_time": iso_time,
    "last_time": iso_time,
    "setting": str,
}
_encode = msgspec.json.Encoder().encode


def rows(analysis: Results, part: str) -> Iterator[dict[str, object]]:
    """Yield the rows of a part of the JSON, by key."""
    of, keys = ROWS[part]
    values, texts = attrgetter(*keys), [(k, _TEXTS[k]) for k in keys if k in _TEXTS]
    for record in of(analysis):
        row = dict(zip(keys, values(record), strict=True))
        for key, text in texts:
            row[key] = text(row[key])
        yield row


def _parts(analysis: Results) -> dict[str, object]:
    """Return the parts in their order."""
    lookups = asdict(analysis.lookup_counts)
    duration = {k: lookups.pop(f"{k}_s") for k in ("p50", "p95", "p99")}
    return {
        "schema": SCHEMA,
        "pcapkit_version": analysis.pcapkit_version,
        "options": analysis.options,
        "captures": rows(analysis, "captures"),
        "packets": analysis.packets,
        "messages": analysis.message_counts,
        "transactions": analysis.transaction_counts,
        "lookups": lookups | {"duration_s": duration},
        "waste": analysis.waste,
        "vantage": analysis.vantage,
        "clients": rows(analysis, "clients"),
        "workloads": rows(analysis, "workloads"),
        "names": rows(analysis, "names"),
        "what_if": rows(analysis, "what_if"),
        "findings": rows(analysis, "findings"),
        "recommendations": rows(analysis, "recommendations"),
        "plans": rows(analysis, "plans"),
        "warnings": analysis.warnings,
    }


def json_text(value: object) -> str:
    """Return a value as JSON of ASCII characters alone, which no terminal obeys."""
    try:
        text = _encode(value)
    except UnicodeEncodeError:  # a file's name may hold bytes that are no character
        pass
    else:
        if text.isascii():
            return text.decode()
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))


def dump_json(analysis: Results) -> str:
    """Return the analysis as JSON text: a line for each part, or for each row of one."""
    return dump_parts(_parts(analysis))


def dump_parts(named: Mapping[str, object]) -> str:
    """Return parts as JSON text: a line for each, or for each row of one that is an iterator."""
    parts = []
    for key, value in named.items():
        if isinstance(value, Iterator):
            lines = ",\n    ".join(map(json_text, value))
            text = f"[\n    {lines}\n  ]" if lines else "[]"
        else:
            text = json_text(value)
        parts.append(f'  "{key}": {text}')
    return "{\n" + ",\n".join(parts) + "\n}\n"
