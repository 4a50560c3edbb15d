"""Plans of captures of real resolvers, against real runs and every lookup that was seen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pcapkit.codes import ANSWER, NODATA, NXDOMAIN, REFUSED, SERVFAIL, UNANSWERED
from pcapkit.model.plans import Plan, PlanKind
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.resolver.models import resolver_model
from pcapkit.resolver.resolv_conf import ResolverConfig
from pcapkit.resolver.simulate import walk

LAB = Path(__file__).resolve().parents[4] / "captures" / "lab"
EXTRA = os.environ.get("PCAPKIT_EXTRA_CAPTURES")
_OUTCOMES = {
    "answer": ANSWER,
    "nodata": NODATA,
    "nxdomain": NXDOMAIN,
    "servfail": SERVFAIL,
    "refused": REFUSED,
    "unanswered": UNANSWERED,
}


def captures() -> list[Path]:
    """Return the captures of the lab, and those that a truth below the extra folder names."""
    found = {p.name: p for p in sorted(LAB.iterdir())}
    for truth in sorted(Path(EXTRA).rglob("*.truth.json")) if EXTRA else ():
        name = json.loads(truth.read_text()).get("capture")
        if name and (truth.parent / name).exists():
            found.setdefault(name, truth.parent / name)
    return [found[name] for name in sorted(found)]


def real_queries(analysis: Analysis) -> int:
    """Return what the complete lookups of a capture sent."""
    return analysis.waste.queries - analysis.waste.by_class["incomplete"]


def test_settings_plans_are_what_really_happened() -> None:
    """The same workload was run under other settings: the plan says what it then sent."""
    known = {p.name: p for p in captures() if p.name.startswith("whatif_")}
    held = 0
    for name, path in known.items():
        begin = name.removesuffix(".pcap").rpartition("ndots")[0]
        (plan,) = [
            p for p in analyze(path).plans if p.kind is PlanKind.SETTINGS and p.subject is None
        ] or [None]
        if plan is None or not plan.steps:
            continue
        (step,) = plan.steps
        other = known.get(f"{begin}ndots{step.ndots}.pcap")
        if other is None:
            continue
        held += 1
        difference = abs(plan.after.queries - real_queries(analyze(other)))
        assert difference <= plan.assumed_queries, (name, step.ndots)
    assert held or not EXTRA


def _texts(plan: Plan, subject: str) -> tuple[int | None, dict[str, str], set[str]]:
    ndots, texts, dropped = None, {}, set[str]()
    for step in plan.steps:
        if subject in step.subjects:
            ndots = step.ndots if step.ndots is not None else ndots
            texts |= step.names if step.name is None else {step.name: step.fqdn or ""}
            dropped.update(step.suffixes)
    return ndots, texts, dropped


def _outcome(analysis: Analysis) -> dict[tuple[str, str], int]:
    """Return the best outcome of every question of a capture."""
    best: dict[tuple[str, str], int] = {}
    for row in analysis.transactions.to_dict("records"):
        key = str(row["qname"]).lower().removesuffix("."), str(row["qtype"])
        outcome = _OUTCOMES.get(str(row["outcome"]), SERVFAIL)
        best[key] = min(outcome, best.get(key, outcome))
    return best


def _lookups(analysis: Analysis) -> Iterator[dict[Any, Any]]:
    for row in analysis.lookups.to_dict("records"):
        # an ambiguous one may have been written in full: a plan says that it is at risk
        written = row["absolute"] is True or row["ambiguous"]
        if row["complete"] and row["outcome"] == "resolved" and not written:
            yield row


@pytest.mark.parametrize("path", captures(), ids=lambda p: p.name)
def test_no_step_breaks_a_name_that_was_seen_or_leads_it_elsewhere(path: Path) -> None:
    analysis = analyze(path)
    own = [p for p in analysis.plans if p.subject is not None]
    whole = [p for p in analysis.plans if p.subject is None]
    seen = _outcome(analysis) if whole else {}
    title = {address: p.subject for p in own for address in p.clients}
    rows = {c.client_addr: c for c in analysis.client_rows}
    for plan in (*whole, *own):
        assert sum(s.saves_queries for s in plan.steps) == plan.saves_queries
        assert sum(s.edits for s in plan.steps) == plan.edits
        if not plan.steps:
            continue
        for lookup in _lookups(analysis):
            client = rows[lookup["client_addr"]]
            subject = title.get(client.client_addr)
            if subject is None or plan.subject not in (None, subject):
                continue
            ndots, texts, dropped = _texts(plan, subject)
            base, model = str(lookup["base_name"]), resolver_model(client.resolver.rules)
            types = str(lookup["qtypes"]) if isinstance(lookup["qtypes"], str) else lookup["qtypes"]
            families = types.split(",") if isinstance(types, str) else list(types)

            def asked(
                text: str,
                value: int,
                without: set[str] | frozenset[str] = frozenset(),
                client: Any = client,
                model: Any = model,
                of: Any = families,
            ) -> str | None:
                search = tuple(s for s in client.search if s not in without)
                config = ResolverConfig((), search, value, (), "")
                return walk(
                    text, config, model, lambda n, q: seen.get((n.lower(), q), NXDOMAIN), of
                ).answered_by

            now = asked(base, client.ndots.value)
            answered = str(lookup["answered_by"]).lower().removesuffix(".")
            if now is None or now.lower() != answered:
                continue  # what was seen is not what the rules say: a loss, an answer that changed
            value = client.ndots.value if ndots is None else ndots
            then = asked(texts.get(base, base), value, dropped)
            assert then is not None, (plan.subject, plan.kind, base)
            assert then.lower() == now.lower(), (plan.subject, plan.kind, base)
