"""The report in a real browser: it renders at every width, and nothing runs over the edge."""

from __future__ import annotations

from pathlib import Path

import pytest

from pcapkit.pipeline.analyze import analyze
from tests.browser.conftest import Visit

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
_MEASURE = """() => {
  const view = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter(e =>
    !e.closest(".scroll") && !e.closest("pre") && !e.closest("svg") &&
    e.getBoundingClientRect().right > view + 1);
  return {over: wide.map(e => e.tagName + "." + e.className).slice(0, 5), view,
          width: document.documentElement.scrollWidth};
}"""
_COLOURS = """() => {
  const {color, backgroundColor} = getComputedStyle(document.body);
  return [color, backgroundColor];
}"""

#: Of each chart: its smallest text in px, and whether text leaves it.
_TEXTS = """() => [...document.querySelectorAll("figure svg")].map(svg => {
  const box = svg.getBoundingClientRect(), scale = box.width / svg.viewBox.baseVal.width;
  const texts = [...svg.querySelectorAll("text")];
  return [Math.min(...texts.map(t => scale * parseFloat(getComputedStyle(t).fontSize))),
          texts.filter(t => t.getBoundingClientRect().right > box.right + 4).length];
})"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "report.html"
    analyze(LAB / "multi6_any_sll2.pcap").to_html(path)
    return path


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 768, 1600])
def test_nothing_runs_over_the_edge(visit: Visit, report: Path, width: int, dark: bool) -> None:
    with visit(report, width, dark=dark) as page:
        seen = page.evaluate(_MEASURE)
        assert seen == {"over": [], "view": width, "width": width}
        assert page.locator("figure svg").count() == 8


def test_charts_can_be_read_on_a_telephone(visit: Visit, report: Path) -> None:
    with visit(report, 400) as page:
        for smallest, outside in page.evaluate(_TEXTS):
            assert smallest >= 11
            assert outside == 0


def test_dark_and_light_differ(visit: Visit, report: Path) -> None:
    with visit(report) as light, visit(report, dark=True) as dark:
        (ink, paper), (dark_ink, dark_paper) = light.evaluate(_COLOURS), dark.evaluate(_COLOURS)
        assert ink != dark_ink and paper != dark_paper


def test_a_patch_is_copied_as_it_stands(visit: Visit, report: Path) -> None:
    with visit(report) as page:
        patches = page.locator(".patch")
        assert patches.count() > 0
        for n in range(patches.count()):
            page.evaluate("() => navigator.clipboard.writeText('nothing')")
            details = patches.nth(n).locator("xpath=ancestor::details[not(@open)]/summary")
            for summary in details.all():
                summary.click()
            patches.nth(n).locator("button").click()
            page.wait_for_function("async () => await navigator.clipboard.readText() != 'nothing'")
            copied = page.evaluate("() => navigator.clipboard.readText()")
            assert copied.strip() == patches.nth(n).locator("pre").text_content().strip() != ""
