"""The door for programs: keywords, tables, charts, and what an analysis shows of itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import pcapkit
from pcapkit.model.vocabulary import TABLES

ROOT = Path(__file__).resolve().parents[2]
CAPTURE = ROOT / "captures" / "lab" / "whatif_w1_glibc_ndots5.pcap"


@pytest.fixture(scope="module")
def analysis() -> pcapkit.Analysis:
    return pcapkit.analyze(CAPTURE, keep_messages=True)


def test_keywords_are_the_options_of_the_command_line() -> None:
    given = pcapkit.analyze(CAPTURE, ndots=3, search="a.example", resolver="musl")
    (client,) = given.client_rows
    assert (client.ndots.value, client.ndots.source) == (3, "option")
    assert client.search == ("a.example",)
    assert client.resolver.model == "musl"
    assert given.options == {"search": ["a.example"], "ndots": 3, "resolver": "musl"}


def test_a_keyword_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(pcapkit.PcapkitError, match=r"no option nodts; there are: .*\bndots\b"):
        pcapkit.analyze(CAPTURE, nodts=3)  # type: ignore[call-arg]
    with pytest.raises(pcapkit.PcapkitError, match="not both"):
        pcapkit.analyze(CAPTURE, options=pcapkit.Options(), ndots=3)


@pytest.mark.parametrize("table", TABLES)
def test_every_table_is_a_frame_whose_columns_are_described(
    analysis: pcapkit.Analysis, table: str
) -> None:
    frame = getattr(analysis, table)
    assert isinstance(frame, pd.DataFrame) and len(frame)
    assert list(frame.columns) == list(analysis.columns(table))
    assert all(analysis.columns(table).values())


def test_rows_and_frames_say_the_same(analysis: pcapkit.Analysis) -> None:
    assert analysis.names["base_name"].tolist() == [n.base_name for n in analysis.name_rows]
    assert analysis.clients["ndots_value"].tolist() == [c.ndots.value for c in analysis.client_rows]
    assert len(analysis.what_if) == len(analysis.what_if_rows)
    assert len(analysis.messages) == analysis.message_counts.total
    assert len(analysis.transactions) == analysis.transaction_counts.total


def test_messages_that_were_not_kept_say_how_to_keep_them() -> None:
    with pytest.raises(pcapkit.PcapkitError, match="keep_messages=True"):
        _ = pcapkit.analyze(CAPTURE).messages
    with pytest.raises(pcapkit.PcapkitError, match="no table 'nmaes': messages, "):
        pcapkit.analyze(CAPTURE).columns("nmaes")


def test_it_shows_what_it_is_and_what_there_is(analysis: pcapkit.Analysis) -> None:
    assert repr(analysis) == (f"<Analysis of {CAPTURE}: 45 lookups, 242 queries, 152 wasted>")
    listed = dir(analysis)
    assert {"clients", "names", "what_if", "plans", "lookups", "messages", "plot"} <= set(listed)
    assert all(hasattr(analysis, name) for name in listed)
    assert not any(name.startswith("_") for name in listed)


def test_a_notebook_shows_the_verdict_and_the_plan(analysis: pcapkit.Analysis) -> None:
    html = analysis._repr_html_()
    assert "152 of 242" in html and "<table>" in html
    assert all(str(step.number) in html for step in analysis.plans[0].steps)


def test_charts_are_figures_and_files(tmp_path: Path) -> None:
    several = pcapkit.analyze(ROOT / "captures" / "lab" / "multi6_any_sll2.pcap")
    charts = [name for name in dir(several.plot) if not name.startswith("_")]
    assert len(charts) == 8
    for name in charts:
        drawn = getattr(several.plot, name)()
        assert isinstance(drawn.figure, Figure)
        assert drawn._repr_svg_().startswith("<svg") and drawn.alt in repr(drawn)
        drawn.save(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_chart_without_anything_to_show_says_so() -> None:
    small = pcapkit.analyze(ROOT / "captures" / "six-traces" / "trace-3-nslookup-nginx-svc.pcap")
    with pytest.raises(pcapkit.PcapkitError, match="nothing to draw"):
        small.plot.timeline()
