"""Charts that a second process draws."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pcapkit.analysis.exchanges.store import Store
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.collect import collect
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options
from pcapkit.pipeline.reading import Reading
from pcapkit.report.html.painter import Painter
from pcapkit.report.html.pictures import draw

CAPTURES = Path(__file__).resolve().parents[3] / "captures"


def test_another_process_draws_the_same() -> None:
    """Also where the rows of the analysis are in a temporary file, which stays here."""
    in_memory = 65
    store = Store(in_memory=in_memory, remembered=in_memory - 1)
    names = ("whatif_w1_go_ndots5.pcap", "concurrent_one_pod.pcap", "fault_loss_queries.pcap")
    whole = collect([str(CAPTURES / "lab" / name) for name in names], store=store)
    analysis = Reading(whole, Options()).analysis()
    assert store.count > 2 * in_memory
    with Painter() as painter:
        painter.begin(analysis, png=True)
        assert painter.result() == draw(analysis, png=True)


def test_charts_can_be_drawn_before_the_analysis_is_done() -> None:
    early: list[Analysis] = []
    analysis = analyze(CAPTURES / "lab" / "multi6_any_sll2.pcap", hooks=Hooks(charted=early.append))
    (charted,) = early
    assert charted.recommendations == () != analysis.recommendations
    assert charted.what_if_rows == analysis.what_if_rows[: len(charted.what_if_rows)]
    assert draw(charted, png=True) == draw(analysis, png=True)


def test_a_painter_that_has_gone_is_no_harm() -> None:
    analysis = analyze(CAPTURES / "lab" / "whatif_w1_go_ndots5.pcap")
    many = replace(analysis, warnings=tuple(str(n) for n in range(100_000)))
    for handed in (analysis, many):
        with Painter() as painter:
            assert painter.pid is not None
            os.kill(painter.pid, signal.SIGKILL)
            os.waitid(os.P_PID, painter.pid, os.WEXITED | os.WNOWAIT)
            painter.begin(handed, png=True)
            assert painter.result() is None


_KILLED = """
import sys, time
from dataclasses import replace
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.html.painter import Painter
analysis = analyze(sys.argv[1])
chain = analysis.chains[0]
slow = replace(analysis, chains=(replace(chain, steps=chain.steps * 20000),))
with Painter() as painter:
    painter.begin(slow, png=True)
    time.sleep(1.0)
    print(painter.pid, flush=True)
    time.sleep(60)
"""


def _running(group: int) -> list[int]:
    """The processes of one group that still run; one that has ended may wait for a parent that
    never asks, as the first process of a container that is no init."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            state, _, of_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state not in "ZX":
                found.append(int(stat.parent.name))
    return found


def test_nobody_draws_for_a_process_that_was_killed() -> None:
    """Neither the painter stays, nor the process that it forked; both are of one group."""
    capture = str(CAPTURES / "lab" / "whatif_w1_go_ndots5.pcap")
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED, capture], stdout=subprocess.PIPE, text=True
    ) as caller:
        assert caller.stdout is not None
        painter = int(caller.stdout.readline())
        assert painter in _running(painter)
        caller.kill()
    until = time.monotonic() + 30
    while left := _running(painter):
        if time.monotonic() > until:
            os.killpg(painter, signal.SIGKILL)
            raise AssertionError(f"still drawing: {left}")
        time.sleep(0.05)
