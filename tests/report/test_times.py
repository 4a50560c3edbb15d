"""Times under other settings: what rests on answers that nobody saw says so in every report."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.html.page import render_page
from pcapkit.report.markdown import render_markdown
from pcapkit.report.terminal import render_terminal
from pcapkit.words import seconds
from tests.play import SHOP

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """At ndots 5 names were searched that ndots 1 asks as is: nobody saw what that gives."""
    return analyze(SHOP.write(tmp_path_factory.mktemp("shop")))


def terminal(analysis: Analysis) -> str:
    shown = Console(file=StringIO(), width=100)
    render_terminal(analysis, shown, verbose=True)
    assert isinstance(shown.file, StringIO)
    return shown.file.getvalue()


def page(analysis: Analysis) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", render_page(analysis, [])).split())


@pytest.mark.parametrize("render", [terminal, render_markdown, page])
def test_a_time_that_rests_on_unseen_answers_says_so(
    shop: Analysis, render: Callable[[Analysis], str]
) -> None:
    text = re.sub(r"[\\ ]+", " ", render(shop))
    of = {str(w.setting): w for w in shop.what_if_rows if w.client_addr is None}
    assert of["ndots:1"].assumed_queries > 0 == of["ndots:4"].assumed_queries
    assert "assumed" in text
    for setting in ("ndots:1", "ndots:4", "ndots:5"):
        row, mark = (
            of[setting],
            r"(\*| ?\(assumed)" if setting == "ndots:1" else r"(?!\*| ?\(assumed)",
        )
        name = setting.replace(":", " ")
        line = rf"{name}[^a-z]*(\(now\))?[^a-z]*{seconds(row.p50_s)}{mark}"
        assert re.search(line, text), (setting, text)


@pytest.mark.parametrize("name", ["whatif_w1_glibc_ndots5.pcap", "fault_loss_queries.pcap"])
def test_the_setting_in_force_has_the_times_of_the_lookups_that_were_seen(name: str) -> None:
    analysis = analyze(LAB / name)
    lookups = analysis.lookup_counts
    rows = [w for w in analysis.what_if_rows if w.observed and w.p50_s is not None]
    assert rows
    for row in rows:
        seen = (lookups.p50_s, lookups.p95_s, lookups.p99_s)
        assert (row.p50_s, row.p95_s, row.p99_s) == seen
