"""A reader uses the report: sorts, filters, unfolds, prints; names stay text."""

from __future__ import annotations

from pathlib import Path

import pytest
from pypdf import PdfReader

from pcapkit.codes import ANSWER
from pcapkit.pipeline.analyze import analyze
from tests.browser.conftest import Visit
from tests.play import Workload

HOSTILE = (
    "<img src=x onerror=hacked=1>",
    "</script><script>hacked=1</script>",
    '"onmouseover="hacked=1',
    "javascript:hacked=1",
    "a\u202eb",
    "${7*7}{{7*7}}",
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many names, some of them made to break the page."""
    folder = tmp_path_factory.mktemp("use")
    names = [f"host-{n}.example.com" for n in range(40)] + [f"{h}.test" for h in HOSTILE]
    work = Workload(names, dict.fromkeys(names, (ANSWER, ANSWER)), rounds=1)
    path = folder / "report.html"
    analyze(work.write(folder)).to_html(path)
    return path


_NAMES = """() => [...document.querySelector("#where table").tBodies[0].rows]
  .map(row => row.cells[0].textContent)"""


def test_names_are_sorted_filtered_and_unfolded(visit: Visit, report: Path) -> None:
    with visit(report, 1200) as page:
        rows = page.locator("#where .rows").first
        few = len(page.evaluate(_NAMES))
        assert few < 46
        rows.locator("th button", has_text="name").click()
        up = page.evaluate(_NAMES)
        rows.locator("th button", has_text="name").click()
        down = page.evaluate(_NAMES)
        assert up != down and up == sorted(up, key=str.lower)
        rows.locator("input").fill("host-7.")
        assert page.evaluate(_NAMES) == ["host-7.example.com"]
        rows.locator("input").fill("")
        rows.locator(".more button").first.click()
        assert len(page.evaluate(_NAMES)) == 46


def test_hostile_names_stay_text(visit: Visit, report: Path) -> None:
    with visit(report, 1200) as page:
        assert page.evaluate("() => window.hacked") is None
        assert page.locator("img, [onerror], [onmouseover]").count() == 0
        assert page.locator("script").count() == 1
        assert "\u202e" not in page.content()


def test_without_scripts_tables_are_whole(visit: Visit, report: Path) -> None:
    with visit(report, 1200, scripts=False) as page:
        assert page.locator("#where table").first.locator("tbody tr").count() == 46


def test_nothing_folded_is_lost_in_print(visit: Visit, report: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    with visit(report, 1200) as page:
        heads = page.evaluate(
            "[...document.querySelectorAll('h1, h2, h3')].map(h => h.textContent)"
        )
        page.emulate_media(media="print")
        path.write_bytes(page.pdf())
    pages = [p.extract_text() for p in PdfReader(path).pages]
    assert len(pages) > 1
    for printed in pages:
        assert printed.strip().splitlines()[-1].strip() not in {" ".join(h.split()) for h in heads}
    text = " ".join("".join(pages).split())
    assert all(f"host-{n}" in text for n in range(40))
    for folded in ("kubectl patch", "Wireshark"):
        assert folded in text
