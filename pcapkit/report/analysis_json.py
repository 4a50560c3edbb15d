"""An analysis as JSON (schema ``pcapkit.analysis/1``); tables as CSV, JSON Lines and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import Any

from pcapkit.model.clients import Client
from pcapkit.model.results import Finding, Name, Recommendation, Results, WhatIf
from pcapkit.report.text.formatting import iso_time

SCHEMA = "pcapkit.analysis/1"

#: Values that hold no others.
_SCALARS = (str, int, float, type(None))
#: So many values are written at once; there may be a million.
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one kind: their fields as columns, all alike long; records have columns of theirs."""

    columns: dict[str, list[Any] | _Rows]

    def dicts(self) -> list[dict[str, Any]]:
        columns = [c.dicts() if isinstance(c, _Rows) else c for c in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*columns, strict=True)]

    def lines(self, indent: str = "") -> Iterator[str]:
        """Yield each row as JSON."""
        form = indent + "{" + ", ".join(f"{json.dumps(name)}: %s" for name in self.columns) + "}"
        return map(form.__mod__, zip(*map(_texts, self.columns.values()), strict=True))


def _texts(values: list[Any] | _Rows) -> Iterator[str]:
    """Yield each value as JSON."""
    if isinstance(values, _Rows):
        return values.lines()
    kinds = set(map(type, values))
    if all(issubclass(kind, _SCALARS) for kind in kinds):
        batches = (values[n : n + _BATCH] for n in range(0, len(values), _BATCH))
        return chain.from_iterable(map(_scalars, batches))
    if kinds <= {list, tuple}:
        inner = _texts(list(chain.from_iterable(values)))
        return (f"[{', '.join(islice(inner, len(value)))}]" for value in values)
    return map(json.dumps, values)


def _scalars(values: list[Any]) -> list[str]:
    """Return values that hold no others as JSON, with one call for all."""
    # JSON escapes the line breaks of strings, so those that are left divide the values.
    return json.dumps(values, separators=("\n", ": "))[1:-1].split("\n")


def _rows(names: Iterable[str], records: Sequence[Any]) -> _Rows:
    """Return records as rows of JSON values."""
    columns: dict[str, list[Any] | _Rows] = {}
    for name in names:
        values = list(map(attrgetter(name), records))
        if name in ("first_time", "last_time"):
            values = list(map(iso_time, values))
        columns[name] = values
        if values and is_dataclass(kind := type(values[0])):
            columns[name] = _rows(_fields(kind), values)
    return _Rows(columns)


def _fields(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


#: What is told of a capture, and of a name.
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
_NAME = tuple(name for name in _fields(Name) if name != "by_class")


def _parts(analysis: Results) -> dict[str, Any]:
    """Return the parts of the analysis: plain JSON values, and rows."""
    lookups = asdict(analysis.lookup_counts)
    duration = {k: lookups.pop(f"{k}_s") for k in ("p50", "p95", "p99")}
    return {
        "schema": SCHEMA,
        "pcapkit_version": analysis.pcapkit_version,
        "options": dict(analysis.options),
        "captures": _rows(_CAPTURE, analysis.captures),
        "packets": asdict(analysis.packets),
        "messages": asdict(analysis.messages),
        "transactions": asdict(analysis.transaction_counts),
        "lookups": lookups | {"duration_s": duration},
        "waste": asdict(analysis.waste),
        "vantage": asdict(analysis.vantage),
        "clients": _rows(_fields(Client), analysis.client_rows),
        "names": _rows(_NAME, analysis.name_rows),
        "what_if": _rows(_fields(WhatIf), analysis.what_if_rows),
        "findings": _rows(_fields(Finding), analysis.findings),
        "recommendations": _rows(_fields(Recommendation), analysis.recommendations),
        "warnings": list(analysis.warnings),
    }


def analysis_json(analysis: Results) -> dict[str, Any]:
    """Return the analysis as plain JSON values."""
    return {
        key: part.dicts() if isinstance(part, _Rows) else part
        for key, part in _parts(analysis).items()
    }


def dump_json(analysis: Results) -> str:
    """Return the analysis as JSON text: a line for each part, or for each row of one."""
    parts = []
    for key, part in _parts(analysis).items():
        if isinstance(part, _Rows):
            rows = ",\n".join(part.lines(indent="    "))
            text = f"[\n{rows}\n  ]" if rows else "[]"
        else:
            text = json.dumps(part)
        parts.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
