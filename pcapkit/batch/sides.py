"""One side of a comparison: the typed rows of an analysis, or of its saved JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from pcapkit.batch.history.selecting import find_run
from pcapkit.cluster.conventions import KUBERNETES_NDOTS
from pcapkit.errors import InputError
from pcapkit.model.audits import AuditRow, Workload
from pcapkit.model.captures import CaptureInfo
from pcapkit.model.clients import Client, Ndots, ResolverGuess, Vantage
from pcapkit.model.comparison import is_run, is_saved
from pcapkit.model.plans import Plan
from pcapkit.model.results import Name, Recommendation, Results, WasteCounts, WhatIf, shown_faults
from pcapkit.model.settings import Setting
from pcapkit.model.vocabulary import Certainty, Source
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options
from pcapkit.report.analysis_json import SCHEMA
from pcapkit.report.audit_files import SCHEMA as AUDIT_SCHEMA
from pcapkit.report.text.formatting import nanoseconds


@dataclass(frozen=True, slots=True)
class Side:
    """What a comparison takes of one analysis; ``complete`` is its complete lookups."""

    captures: tuple[CaptureInfo, ...]
    complete: int
    waste: WasteCounts
    clients: tuple[Client, ...]
    names: tuple[Name, ...]
    what_if: tuple[WhatIf, ...]
    recommendations: tuple[Recommendation, ...]
    warnings: tuple[str, ...]
    plans: tuple[Plan, ...] = ()
    vantage: Vantage | None = None
    #: None where an older pcapkit has saved it
    workloads: tuple[Workload, ...] | None = None
    p95_s: float | None = None  #: of complete lookups
    faults: tuple[str, ...] = ()  #: codes of those that are shown

    @classmethod
    def of(cls, analysis: Results) -> Side:
        """Return what a comparison takes of an analysis."""
        return cls(
            analysis.captures,
            analysis.lookup_counts.complete,
            analysis.waste,
            analysis.client_rows,
            analysis.name_rows,
            analysis.what_if_rows,
            analysis.recommendations,
            analysis.warnings,
            analysis.plans,
            analysis.vantage,
            analysis.workload_rows,
            analysis.lookup_counts.p95_s,
            shown_faults(analysis),
        )

    @classmethod
    def saved(cls, values: dict[str, Any]) -> Side:
        """Return the same of an analysis' JSON.

        Raises one of _OTHER_JSON where it is of another schema.
        """
        if values["schema"] != SCHEMA:
            raise ValueError(f"the schema is not {SCHEMA}")
        for row in (*values["captures"], *values["clients"]):
            row |= {key: nanoseconds(row[key]) for key in ("first_time", "last_time")}
        for row in values["what_if"]:
            row["setting"] = asdict(Setting.parse(row["setting"]))
        lookups = values["lookups"]
        more = {
            "complete": lookups["complete"],
            "p95_s": lookups["duration_s"]["p95"],
            "faults": [f["code"] for f in values["findings"] if f["certainty"] == Certainty.SHOWN],
        }
        try:
            return msgspec.convert(values | more, cls)
        except msgspec.ValidationError as problem:
            raise ValueError(str(problem)) from None

    @property
    def contradicts_itself(self) -> bool:
        """Is a count below 0, or more wasted than asked, as only an edited file has it?"""
        counts = [(self.complete, self.waste.wasted_queries, self.waste.queries)]
        counts += [(c.lookups, c.wasted_queries, c.queries) for c in self.clients]
        counts += [(n.lookups, n.wasted_queries, n.queries) for n in self.names]
        counts += [(w.lookups, w.wasted_queries, w.queries) for w in self.workloads or ()]
        return any(lookups < 0 or not 0 <= wasted <= queries for lookups, wasted, queries in counts)

    @classmethod
    def recorded(cls, rows: Sequence[AuditRow], warnings: tuple[str, ...]) -> Side:
        """Return the same of what the history keeps of a run, by workload."""
        read = [row for row in rows if row.error is None]
        queries = sum(row.complete_queries for row in read)
        wasted = sum(row.wasted_queries for row in read)
        waste = WasteCounts(
            queries,
            wasted,
            wasted / queries if queries else 0.0,
            sum(row.wasted_s for row in read),
            {"incomplete": 0},
        )
        return cls(
            tuple(_capture(row) for row in read),
            sum(row.complete_lookups for row in read),
            waste,
            tuple(_client(w) for row in read for w in row.workloads),
            names=(),
            what_if=(),
            recommendations=(),
            warnings=warnings,
            workloads=tuple(w for row in read for w in row.workloads),
            p95_s=read[0].p95_s if len(read) == 1 else None,
            faults=tuple(sorted({code for row in read for code in row.faults})),
        )


def _capture(row: AuditRow) -> CaptureInfo:
    times = row.first_time, row.last_time
    return CaptureInfo(row.path, "", None, (), None, row.packets, 0, *times, False)


def _client(workload: Workload) -> Client:
    """Return a workload as a client of which nothing but its counts is known."""
    return Client(
        # One that is known by its name is matched by nothing else.
        client_addr=workload.client_addr or f"{workload.namespace}/{workload.workload}",
        first_time=None,
        last_time=None,
        pod=None,
        namespace=workload.namespace,
        workload=workload.workload,
        workload_kind=None,
        search=(),
        search_source=Source.ASSUMED,
        ndots=Ndots(0, 15, KUBERNETES_NDOTS, Source.ASSUMED),
        resolver=ResolverGuess("unknown", 0.0, ()),
        lookups=workload.complete_lookups,
        queries=workload.complete_queries,
        wasted_queries=workload.wasted_queries,
        wasted_s=workload.wasted_s,
    )


#: What comes of JSON in which something else stands than pcapkit writes.
_OTHER_JSON = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


def load(path: str, *, options: Options, hooks: Hooks | None = None) -> Side:
    """Return a saved analysis, a run of a history, or a capture's analysis; raises InputError."""
    if is_run(path):
        return Side.recorded(*find_run(path))
    if not is_saved(path):
        return Side.of(analyze(path, options=options, hooks=hooks))
    return load_saved(path)


def load_saved(path: str) -> Side:
    """Return a saved analysis; raises InputError."""
    schema = None
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        schema = values["schema"]
        side = Side.saved(values)
    except _OTHER_JSON:
        if schema == AUDIT_SCHEMA:
            raise InputError(
                path,
                "the result of an audit, which holds many captures",
                hint="give one of its analysis.json; 'compare history:FOLDER' compares audits",
            ) from None
        raise InputError(
            path,
            f"line 1: no JSON of the schema {SCHEMA}",
            hint="give a capture, or the analysis.json of one",
        ) from None
    if side.contradicts_itself:
        raise InputError(
            path,
            "its counts contradict one another",
            hint="it was edited or damaged: analyse the capture again",
        )
    return side
