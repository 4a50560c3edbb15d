"""Charts that a second process draws."""

from __future__ import annotations

from pathlib import Path

from pcapkit.analysis.store import Store
from pcapkit.collect import collect
from pcapkit.options import Options
from pcapkit.pipeline import Reading
from pcapkit.report.charts import draw
from pcapkit.report.painter import Painter

CAPTURES = Path(__file__).resolve().parents[2] / "captures"


def test_another_process_draws_the_same() -> None:
    """Also where the rows of the analysis are in a temporary file, which stays here."""
    store = Store(in_memory=65, remembered=64)
    names = ("whatif_w1_go_ndots5.pcap", "concurrent_one_pod.pcap", "fault_loss_queries.pcap")
    whole = collect([str(CAPTURES / "lab" / name) for name in names], store=store)
    analysis = Reading(whole, Options()).analysis()
    assert store.runs > 1
    with Painter() as painter:
        painter.begin(analysis, png=True)
        assert painter.result() == draw(analysis, png=True)
