"""The six traces of the article, from their text and from the rebuilt captures."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze

FOLDER = Path(__file__).resolve().parents[2] / "captures" / "six-traces"
LIST = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
REVERSE = "76.248.80.112.in-addr.arpa"
PROMETHEUS = "prometheus-k8s.monitoring.svc.cluster.local"

#: trace -> base names, and the classes of its queries that are not 0
EXPECTED = {
    1: (
        ["www.baidu.com", REVERSE],
        {"answer": 1, "empty_family": 1, "search_miss": 6, "reverse_miss": 1},
    ),
    2: (["www.baidu.com", REVERSE], {"answer": 1, "empty_family": 1, "reverse_miss": 1}),
    3: (["nginx-svc"], {"answer": 1, "empty_family": 1}),
    4: (["prometheus-k8s.monitoring"], {"answer": 1, "empty_family": 1, "search_miss": 1}),
    5: (["sls.doc.dc.wiki.tbchip.com"], {"answer": 1, "empty_family": 1}),
}


def classes(analysis: Analysis) -> dict[str, int]:
    return {c: n for c, n in analysis.waste.by_class.items() if n}


def path_of(trace: int, suffix: str) -> Path:
    (path,) = FOLDER.glob(f"trace-{trace}-*{suffix}")
    return path


@pytest.mark.parametrize("suffix", [".txt", ".pcap"])
@pytest.mark.parametrize("trace", EXPECTED)
def test_each_trace(trace: int, suffix: str) -> None:
    names, expected = EXPECTED[trace]
    analysis = analyze(path_of(trace, suffix))
    assert classes(analysis) == expected
    assert analysis.lookups["base_name"].tolist() == names
    assert analysis.waste.queries == sum(expected.values())


@pytest.mark.parametrize("suffix", [".txt", ".pcap"])
def test_the_full_service_name_alone_can_be_read_two_ways(suffix: str) -> None:
    analysis = analyze(path_of(6, suffix))
    assert classes(analysis) == {"answer": 1, "empty_family": 1}
    (row,) = analysis.lookups.to_dict("records")
    assert row["base_name"] == PROMETHEUS or (
        row["ambiguous"] and PROMETHEUS.startswith(row["base_name"] + ".")
    )


@pytest.mark.parametrize("suffix", [".txt", ".pcap"])
def test_all_six_together(suffix: str) -> None:
    analysis = analyze(*sorted(FOLDER.glob(f"trace-*{suffix}")))
    assert analysis.waste.queries == 9 + 3 + 2 + 3 + 2 + 2
    assert classes(analysis) == {
        "answer": 6,
        "empty_family": 6,
        "search_miss": 7,
        "reverse_miss": 2,
    }
    (client,) = analysis.client_rows
    assert client.client_addr == "172.41.10.200"
    assert client.search == LIST
    assert (client.ndots.low, client.ndots.high, client.ndots.value) == (3, 15, 5)
    rows = {(r["capture"][-9:], r["base_name"]): r for r in analysis.lookups.to_dict("records")}
    absolute = [
        r["absolute"]
        for (end, name), r in rows.items()
        if name == "www.baidu.com" and "fqdn" in end
    ]
    assert absolute == [True]
    short = next(r for r in rows.values() if r["base_name"] == "prometheus-k8s.monitoring")
    assert short["answered_suffix"] == "svc.cluster.local"


def test_what_the_settings_would_send_for_an_external_name() -> None:
    analysis = analyze(path_of(1, ".pcap"))
    sent = {str(w.setting): w.queries for w in analysis.what_if_rows if w.client_addr is None}
    reverse = 1  # the PTR query is the same under every setting
    assert sent["ndots:5"] == 8 + reverse
    assert sent["ndots:2"] == sent["ndots:1"] == sent["fqdn"] == 2 + reverse
