"""An analysis in a few kilobytes of JSON: what fits into a chat, an alert, a ticket.

Schema ``pcapkit.summary/1``; never more than ``MOST_BYTES``. What is left out is counted, and
``more`` says how to ask for it.
"""

from __future__ import annotations

from typing import Any

from pcapkit.model.plans import Plan
from pcapkit.model.results import Finding, Name, Results
from pcapkit.report.analysis_json import json_text
from pcapkit.report.text.formatting import iso_time, printable, shorten
from pcapkit.report.text.plans import best_plan, step_text
from pcapkit.report.text.verdict import lost_s, verdict

SCHEMA = "pcapkit.summary/1"
MOST_BYTES = 8_000
_FAULTS, _STEPS, _NAMES, _WARNINGS = 5, 10, 5, 3
_NAME, _SENTENCE = 80, 300  # characters
#: Lists that are cut where the text is too long, the least important first.
_CUT = ("warnings", "names", "faults", "plan.steps")


def dump_summary(analysis: Results) -> str:
    """Return the verdict, faults, the plan and the worst names as one line of JSON for each."""
    parts = _parts(analysis)
    while len(text := _text(parts)) > MOST_BYTES and _cut(parts):
        pass
    return text


def _parts(analysis: Results) -> dict[str, Any]:
    lookups, waste = analysis.lookup_counts, analysis.waste
    plan = best_plan(analysis)
    wasted = [n for n in analysis.name_rows[:_NAMES] if n.wasted_queries]
    first = [c.first_time for c in analysis.captures if c.first_time is not None]
    last = [c.last_time for c in analysis.captures if c.last_time is not None]
    return {
        "schema": SCHEMA,
        "pcapkit_version": analysis.pcapkit_version,
        "captures": {
            "count": len(analysis.captures),
            "first": _short(analysis.captures[0].path) if analysis.captures else None,
            "first_time": iso_time(min(first, default=None)),
            "last_time": iso_time(max(last, default=None)),
        },
        "verdict": [_sentence(text) for text in verdict(analysis)],
        "lookups": {
            "total": lookups.total,
            "complete": lookups.complete,
            "by_outcome": {k: n for k, n in lookups.by_outcome.items() if n},
            "p50_s": lookups.p50_s,
            "p95_s": lookups.p95_s,
        },
        "waste": {
            "queries": waste.queries,
            "wasted_queries": waste.wasted_queries,
            "share": waste.share,
        },
        "faults": [_fault(f) for f in analysis.findings[:_FAULTS]],
        "plan": None if plan is None else _plan(plan),
        "names": [_name(n) for n in wasted],
        "warnings": [_sentence(w) for w in analysis.warnings[:_WARNINGS]],
        "counts": {
            "faults": len(analysis.findings),
            "steps": len(plan.steps) if plan else 0,
            "names": analysis.wasted_names,
            "clients": len(analysis.client_rows) + analysis.other_clients.count,
            "warnings": len(analysis.warnings),
        },
        "more": {
            "everything": "pcapkit analyze CAPTURE --json",
            "a_fault": "pcapkit explain CODE",
            "names": "pcapkit export CAPTURE -t names",
            "settings": "pcapkit export CAPTURE -t what_if",
            "patches": "pcapkit fix CAPTURE --manifests DIR",
        },
    }


def _short(text: str) -> str:
    return shorten(printable(text), _NAME)


def _sentence(text: str) -> str:
    return shorten(printable(text), _SENTENCE)


def _fault(finding: Finding) -> dict[str, object]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "certainty": finding.certainty,
        "title": _sentence(finding.title),
        "lost_s": lost_s(finding),
        "clients": finding.concerns,
    }


def _plan(plan: Plan) -> dict[str, object]:
    return {
        "edits": plan.edits,
        "safety": plan.safety,
        "queries_before": plan.before.queries,
        "queries_after": plan.after.queries,
        "wasted_before": plan.before.wasted_queries,
        "wasted_after": plan.after.wasted_queries,
        "steps": [
            {
                "number": step.number,
                "do": _sentence(step_text(step, _short)),
                "for": [_short(s) for s in step.subjects[:3]],
                "safety": step.safety,
                "queries_after": step.queries_after,
            }
            for step in plan.steps[:_STEPS]
        ],
    }


def _name(name: Name) -> dict[str, object]:
    return {
        "name": _short(name.base_name),
        "lookups": name.lookups,
        "queries": name.queries,
        "wasted_queries": name.wasted_queries,
    }


def _text(parts: dict[str, Any]) -> str:
    lines = ",\n".join(f'  "{key}": {json_text(value)}' for key, value in parts.items())
    return "{\n" + lines + "\n}\n"


def _cut(parts: dict[str, Any]) -> bool:
    """Take the last row out of the least important list that has several; say whether one had."""
    for path in _CUT:
        rows: Any = parts
        for key in path.split("."):
            rows = rows[key] if rows else None
        if rows and len(rows) > 1:
            rows.pop()
            return True
    return False
