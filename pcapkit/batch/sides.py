"""One side of a comparison: the typed rows of an analysis, or of its saved JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from pcapkit.errors import InputError
from pcapkit.model.audits import Workload
from pcapkit.model.captures import CaptureInfo
from pcapkit.model.clients import Client, Vantage
from pcapkit.model.comparison import is_saved
from pcapkit.model.plans import Plan
from pcapkit.model.results import Name, Recommendation, Results, WasteCounts, WhatIf, shown_faults
from pcapkit.model.settings import Setting
from pcapkit.model.vocabulary import Certainty
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options
from pcapkit.report.analysis_json import SCHEMA
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
            analysis.workloads,
            analysis.lookup_counts.p95_s,
            shown_faults(analysis),
        )

    @classmethod
    def saved(cls, values: dict[str, Any]) -> Side:
        """Return the same of an analysis' JSON.

        Raises KeyError, TypeError or ValueError where it is of another schema.
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


def load(path: str, *, options: Options, hooks: Hooks | None = None) -> Side:
    """Return a saved analysis, or that of a capture; raises InputError."""
    if not is_saved(path):
        return Side.of(analyze(path, options=options, hooks=hooks))
    return load_saved(path)


def load_saved(path: str) -> Side:
    """Return a saved analysis; raises InputError."""
    try:
        return Side.saved(json.loads(Path(path).read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            path,
            f"line 1: no JSON of the schema {SCHEMA}",
            hint="give a capture, or the analysis.json of one",
        ) from None
