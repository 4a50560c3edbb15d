"""Groups of an audit: what ``--group-by`` may say, and sums that stay sums."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pcapkit.batch.overview.groups import grouping, parse_group_by, with_groups
from pcapkit.batch.rows import failed_row, row_of
from pcapkit.cluster.pods import parse_pods
from pcapkit.errors import UsageError
from pcapkit.model.audits import AuditRow, Grouping
from pcapkit.pipeline.analyze import analyze
from tests.batch.overview.rows import BEGIN, DAY, row, workload
from tests.end_to_end.test_lab import LAB


def named(found: Grouping) -> dict[str | None, tuple[int, int, int]]:
    """Return captures, queries and wasted queries by name, in their order."""
    return {g.name: (g.captures, g.queries, g.wasted_queries) for g in found.groups}


ROWS = [
    row("in/a/1.pcap", workload("shop/web", wasted=90, complete=100), workload("10.0.0.7")),
    row("in/a/2.pcap", workload("shop/web", wasted=0, complete=900, queries=950)),
    row("in/b/1.pcap", workload("data/db", wasted=50), first_time=BEGIN + DAY),
    failed_row("in/b/2.pcap", "in/b/2.pcap: no bytes at all", "empty"),
]


def test_a_share_is_a_sum_over_a_sum() -> None:
    found = grouping(ROWS, parse_group_by("workload"))
    assert named(found) == {
        "shop/web": (2, 1050, 90),
        "data/db": (1, 100, 50),
        "10.0.0.7": (1, 100, 0),
    }
    assert found.groups[0].share == 90 / 1000  # the mean of the shares were 45 %
    assert any("--pods" in note for note in found.notes)


def test_namespaces_and_what_is_in_none() -> None:
    found = grouping(ROWS, parse_group_by("namespace"))
    assert named(found) == {"shop": (2, 1050, 90), "data": (1, 100, 50), None: (1, 100, 0)}
    assert found.others == "namespace not known"


def test_days_are_in_utc_and_not_made_up() -> None:
    rows = [*ROWS, row("in/c.pcap", workload("shop/web"), first_time=None)]
    found = grouping(rows, parse_group_by("day"))
    assert named(found) == {
        "2026-11-18": (2, 1150, 90),
        "2026-11-19": (1, 100, 50),
        None: (1, 100, 0),
    }
    assert "UTC" in found.notes[0]
    far = [replace(ROWS[0], first_time=2**62)]  # later than any calendar here goes
    assert [g.captures for g in grouping(far, parse_group_by("day")).groups] == [1]


def test_parts_of_paths() -> None:
    by = parse_group_by(r"in/(\w)/")
    rows = [*ROWS, row("elsewhere.pcap", workload("shop/web"))]
    assert named(grouping(rows, by)) == {"a": (2, 1150, 90), "b": (1, 100, 50), None: (1, 100, 0)}
    assert [r.group for r in with_groups(rows, by)] == ["a", "a", "b", "b", None]
    whole = grouping(rows, parse_group_by(r"\d\.pcap"))
    assert set(named(whole)) == {"1.pcap", "2.pcap", None}
    optional = grouping(rows, parse_group_by(r"in/(z)?"))
    assert set(named(optional)) == {None}
    nothing = grouping(rows, parse_group_by("x+y"))
    assert "finds nothing" in nothing.notes[0] and "in/a/1.pcap" in nothing.notes[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("namespaces", "did you mean namespace?"),
        ("Workload", "did you mean workload?"),
        ("pod", "It is one of namespace, workload, node, day, or a regular expression"),
        ("", "It is one of"),
        ("in/([a-z", "no regular expression: unterminated character set at character 5"),
        ("(?P<a>x)(?P<a>y)", "no regular expression"),
        ("a{999999999999}", "no regular expression"),
    ],
)
def test_what_cannot_be_grouped_by_is_said(text: str, says: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_group_by(text)
    assert says in str(raised.value) and "--group-by" in str(raised.value)


def on_nodes(nodes: dict[str, str]) -> AuditRow:
    """The row of a capture of several clients, with the nodes of their pods."""
    items = [
        {
            "kind": "Pod",
            "metadata": {"name": f"p{n}", "namespace": "default"},
            "spec": {"nodeName": node},
            "status": {"podIP": address},
        }
        for n, (address, node) in enumerate(nodes.items())
    ]
    cluster = parse_pods(json.dumps({"kind": "List", "items": items}), path="pods.json")
    analysis = analyze(LAB / "multi6_any_sll2.pcap")
    return row_of("a.pcap", analysis, None, cluster=cluster)


def test_nodes_are_known_from_pods() -> None:
    by = parse_group_by("node")
    one = on_nodes({"10.244.0.9": "node-a", "10.244.3.5": "node-a", "10.9.9.9": "node-z"})
    assert one.nodes == ("node-a",)
    two = on_nodes({"10.244.0.9": "node-a", "10.244.3.5": "node-b"})
    found = grouping([one, two, on_nodes({})], by)
    assert {g.name for g in found.groups} == {"node-a", "several nodes", None}
    assert found.others == "node not known"
    assert "1 of 3 captures" in found.notes[0] and "--pods" in found.notes[0]
    assert "as a whole" in found.notes[1]


def test_a_node_named_in_no_pod_is_unknown() -> None:
    analysis = analyze(LAB / "multi6_any_sll2.pcap")
    assert row_of("a.pcap", analysis, None).nodes == ()


def test_sums_of_every_kind_are_those_of_the_captures() -> None:
    for by in ("day", "node", "in/(.)/", "workload", "namespace"):
        groups = grouping(ROWS, parse_group_by(by)).groups
        good = [r for r in ROWS if r.error is None]
        assert sum(g.queries for g in groups) == sum(r.queries for r in good)
        assert sum(g.wasted_queries for g in groups) == sum(r.wasted_queries for r in good)
        assert sum(g.wasted_s for g in groups) == pytest.approx(sum(r.wasted_s for r in good))


def test_the_order_of_captures_changes_nothing() -> None:
    for by in map(parse_group_by, ("workload", "namespace", "node", "day", "in/(.)/")):
        assert grouping(ROWS[::-1], by) == grouping(ROWS, by)
