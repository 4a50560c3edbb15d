"""Every scenario is analysed as what it is: the truth comes from the rules, not from packets."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pcapkit
from pcapkit.generating.generate import generate
from pcapkit.generating.habits import HABITS
from pcapkit.generating.scenarios import SCENARIOS, Row, make_scenario, scenario_row
from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.pipeline.analysis import Analysis
from tests.generating.held import differences, lookups_of_names

#: Those that say nothing of what is lost or broken.
HEALTHY = ("plain", "fqdn", "alpine", "go", "node", "ndots-1", "no-address", "truncated", "thin")


def written(
    folder: Path, row: Row, seed: int = 1, **choices: Any
) -> tuple[dict[str, Any], Analysis]:
    """Write a scenario, and analyse what was written; return the truth beside it, too."""
    scenario, is_sure = make_scenario(row, **choices)
    path = folder / "c.pcap"
    generate(scenario, seed, path, folder / "c.truth.json", faults_show=is_sure)
    return json.loads((folder / "c.truth.json").read_text()), pcapkit.analyze(path)


@pytest.mark.parametrize("row", SCENARIOS, ids=lambda r: r.name)
def test_the_analysis_of_each_scenario_is_its_truth(tmp_path: Path, row: Row) -> None:
    truth, analysis = written(tmp_path, row)
    assert differences(truth, analysis) == []
    assert truth["lookups"] >= row.lookups and truth["faults"] == sorted(row.faults)
    assert analysis.packets.skipped.get("not_dns", 0) < truth["packets"] / 2 or not truth["packets"]
    resolvers = {c["client_addr"]: c["resolver"].partition("@")[0] for c in truth["clients"]}
    for client in analysis.client_rows:
        if client.lookups >= 20:
            assert client.resolver.model == resolvers[client.client_addr]
    if row.name in HEALTHY:
        assert [f.code for f in analysis.findings if f.severity == "error"] == []


@pytest.mark.parametrize("resolver", [h if h != "c-ares" else "c-ares@1.30" for h in HABITS])
@pytest.mark.parametrize("name", ["plain", "lost-queries", "servfail", "cut"])
def test_each_resolver_asks_by_its_rules(tmp_path: Path, name: str, resolver: str) -> None:
    truth, analysis = written(tmp_path, scenario_row(name), resolver=resolver)
    assert differences(truth, analysis) == []
    assert truth["retries"] > 0 or name != "lost-queries"


@pytest.mark.parametrize("resolver", ["glibc", "musl", "go", "c-ares@1.30", "bind-nslookup"])
@pytest.mark.parametrize("name", ["closed-nameserver", "dead-nameserver"])
def test_who_asks_the_next_nameserver_asks_again(tmp_path: Path, name: str, resolver: str) -> None:
    """From whatever port, and at once where ICMP says that nothing listens at the first."""
    truth, analysis = written(tmp_path, scenario_row(name), resolver=resolver)
    assert differences(truth, analysis) == []
    assert truth["retries"] >= truth["queries"]


def test_dnspython_hears_no_refusal_and_gives_up_after_its_lifetime(tmp_path: Path) -> None:
    """2 s at each candidate, 5 s for all: a third one gets no answer, and no fourth is asked."""
    row = scenario_row("closed-nameserver")
    truth, analysis = written(tmp_path, row, resolver="dnspython")
    assert differences(truth, analysis) == []
    assert set(truth["lookups_by_outcome"]) >= {"resolved", "unanswered"}
    took = analysis.lookups["duration_s"]
    assert 1.9 < took.min() < took.max() < 5.1


@pytest.mark.parametrize(
    ("name", "resolver", "seed"),
    [
        ("servfail", "glibc", 4),
        ("cut-chain", "dnspython", 3),
        ("plain", "bind-nslookup", 4),
        ("no-address", "bind-nslookup", 3),
    ],
)
def test_ports_that_are_drawn_twice_join_nothing(
    tmp_path: Path, name: str, resolver: str, seed: int
) -> None:
    """Among thousands of ports, two questions have the same one now and then."""
    choices = {"resolver": resolver, "lookups": 2500, "seconds": 300.0}
    truth, analysis = written(tmp_path, scenario_row(name), seed, **choices)
    assert differences(truth, analysis) == []


@pytest.mark.parametrize("seed", [2, 3])
@pytest.mark.parametrize("name", ["every-class", "conntrack-race", "lost-queries", "node"])
def test_other_seeds_are_exact_too(tmp_path: Path, name: str, seed: int) -> None:
    truth, analysis = written(tmp_path, scenario_row(name), seed)
    assert differences(truth, analysis) == []


@pytest.mark.parametrize(
    "choices",
    [
        {"ndots": 0},
        {"ndots": 2},
        {"ndots": 15},
        {"resolver": "musl", "ndots": 1},
        {"search": ("a.example", "b.example")},
        {"search": ("svc.cluster.local",)},
        {"clients": 1, "lookups": 3000, "seconds": 30.0},
        {"clients": 200},
    ],
    ids=str,
)
def test_what_the_user_chooses_is_played(tmp_path: Path, choices: dict[str, Any]) -> None:
    truth, analysis = written(tmp_path, scenario_row("plain"), **choices)
    assert differences(truth, analysis) == []
    (settings,) = {(c["ndots"], c["resolver"]) for c in truth["clients"]}
    assert settings == (choices.get("ndots", 5), choices.get("resolver", "glibc"))
    assert truth["lookups"] == choices.get("lookups", 600)


def test_every_class_is_in_one_scenario(tmp_path: Path) -> None:
    truth, _ = written(tmp_path, scenario_row("every-class"))
    assert all(truth["by_class"][c] > 0 for c in WASTE_CLASSES)
    assert sum(truth["by_class"].values()) == truth["queries"]


def test_names_are_those_that_were_asked_for(tmp_path: Path) -> None:
    truth, analysis = written(tmp_path, scenario_row("plain"))
    asked = {n["base_name"]: n["lookups"] for n in truth["names"]}
    found = lookups_of_names(analysis)
    assert len(found) > 5 and all(asked[name] == count for name, count in found.items())
    assert sum(n["wasted_queries"] for n in truth["names"]) == truth["wasted_queries"]
    assert sum(asked.values()) == truth["lookups"]


def test_faults_are_not_promised_where_options_change_what_shows(tmp_path: Path) -> None:
    for choices in ({"ndots": 2}, {"lookups": 10}, {"resolver": "musl"}, {"clients": 1}):
        truth, _ = written(tmp_path, scenario_row("double-expansion"), **choices)
        assert truth["faults"] is None


def test_a_cut_capture_needs_a_walk(tmp_path: Path) -> None:
    truth, analysis = written(tmp_path, scenario_row("cut"), ndots=0)
    assert differences(truth, analysis) == []
    assert truth["complete_lookups"] <= truth["lookups"] == 60


def test_a_cut_capture_begins_and_ends_in_lookups(tmp_path: Path) -> None:
    truth, _ = written(tmp_path, scenario_row("cut"))
    assert truth["lookups"] - truth["complete_lookups"] == 2
    assert truth["by_class"]["incomplete"] > 4


@pytest.mark.parametrize("lookups", [0, 1, 2, 3])
def test_few_lookups_are_as_many_as_wanted(tmp_path: Path, lookups: int) -> None:
    for name in ("plain", "cut"):
        truth, analysis = written(tmp_path, scenario_row(name), lookups=lookups)
        assert truth["lookups"] == lookups
        assert differences(truth, analysis) == []


def test_scenarios_have_names_of_their_own() -> None:
    assert len({r.name for r in SCENARIOS}) == len(SCENARIOS)
    for row in SCENARIOS:
        made, is_sure = make_scenario(row)
        assert is_sure and made.name == row.name
        other, is_sure = make_scenario(replace(row), seconds=row.seconds / 2)
        assert not is_sure and other.faults == made.faults


def test_the_documentation_describes_every_scenario_and_key(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "generating.md").read_text()
    for row in SCENARIOS:
        faults = ", ".join(f"`{f}`" for f in row.faults) or "-"
        assert f"| `{row.name}` | {row.title} | {faults} |" in text
    truth, _ = written(tmp_path, scenario_row("thin"))
    for key in (*truth, *truth["clients"][0], *truth["names"][0]):
        assert f"`{key}`" in text or f"`{key}[]`" in text, key
