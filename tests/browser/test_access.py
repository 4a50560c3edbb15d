"""Nobody is kept out: axe-core finds nothing serious, at any width, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe

from pcapkit.batch.overview.index import make_index
from pcapkit.batch.rows import failed_row, row_of
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.html.index import render_index
from tests.browser.conftest import Visit

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
CAPTURES = ("multi6_any_sll2.pcap", "fault_loss_queries.pcap", "wildcard_suffix.pcap")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Reports with faults, several clients, a thin one; and an index over them."""
    folder, rows, out = tmp_path_factory.mktemp("access"), [], []
    for name in CAPTURES:
        analysis = analyze(LAB / name)
        path = folder / f"{name}.html"
        analysis.to_html(path)
        rows.append(row_of(name, analysis, path.name))
        out.append(path)
    rows.append(failed_row("bad.pcap", "bad.pcap: not a capture"))
    index = folder / "index.html"
    index.write_text(render_index(make_index(rows), "1"))
    return [*out, index]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_axe_finds_nothing_serious(visit: Visit, pages: list[Path], width: int, dark: bool) -> None:
    for path in pages:
        with visit(path, width, dark=dark) as page:
            page.evaluate("() => document.querySelectorAll('details').forEach(d => d.open = true)")
            found = Axe().run(page).response["violations"]
        serious = [
            (v["id"], v["nodes"][0]["html"][:200])
            for v in found
            if v["impact"] in ("serious", "critical")
        ]
        assert serious == [], path.name
