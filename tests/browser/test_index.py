"""The index of an audit in a real browser: sorted, filtered, without scripts, deaf to names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pcapkit.batch.overview.groups import parse_group_by
from pcapkit.batch.overview.index import make_index
from pcapkit.batch.rows import failed_row
from pcapkit.report.html.index import render_index
from tests.batch.overview.rows import ndots, row, workload
from tests.batch.overview.test_index import HOSTILE, trend
from tests.browser.conftest import Visit

_MEASURE = """() => {
  const view = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") &&
    e.getBoundingClientRect().right > view + 1);
  return {
    over: wide.map(e => e.tagName + "." + e.className).slice(0, 5),
    width: document.documentElement.scrollWidth, view,
    scrolled: [...document.querySelectorAll(".scroll")]
      .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.firstChild.id),
  };
}"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 412 captures: names made to break it, sets, some that are gone or failed."""
    times = (0.0123, 1.5, 0.000_45, None, 130.0)
    rows = [
        row(
            f"captures/night-{n % 3}/pod-{n}.pcap",
            workload(f"shop/web-{n % 50}", wasted=n, complete=1000 + n),
            steps=(ndots(2, f"shop/web-{n % 50}", ends=n // 2),) if n % 4 else (),
            faults=("conntrack_race",) if n % 7 == 0 else (),
            p95_s=times[n % 5],
            gone=n % 90 == 0,
        )
        for n in range(400)
    ]
    rows += [row(path, workload(f"{path}/{path}")) for path in HOSTILE]
    rows[3] = replace(rows[3], paths=tuple(f"{rows[3].path}{n}" for n in range(40)))
    script = "<img src=x onerror='window.hacked=true'><script>window.hacked=true</script>"
    rows += [failed_row(f"in/{n}{script}", f"in/{n}{script}: {script}", "empty") for n in range(12)]
    found = [trend(f"shop/web-{n}", 0.2, 0.3, 0.1) for n in range(30)]
    index = make_index(rows, parse_group_by("night-(.)"), found)
    path = tmp_path_factory.mktemp("index") / "index.html"
    path.write_text(render_index(index, "1"), "utf-8")
    return path


class Captures:
    """The table of captures, as a reader uses it."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self.block = page.locator("#captures-rows").locator("xpath=ancestor::*[@class='rows']")

    def column(self, title: str) -> list[str]:
        """Return what stands in a column, row by row."""
        texts: list[str] = self._page.evaluate(
            """title => {
              const table = document.querySelector("#captures-rows");
              const at = [...table.tHead.rows[0].cells].findIndex(c => c.textContent === title);
              return [...table.tBodies[0].rows].map(row => row.cells[at].textContent);
            }""",
            title,
        )
        return texts

    def head(self, title: str) -> Any:
        """Return the head of a column."""
        return self.block.locator("th").filter(has=self._page.get_by_text(title, exact=True))

    def sort(self, title: str) -> list[str]:
        """Sort by a column; return it."""
        self.head(title).locator("button").click()
        return self.column(title)

    def filter(self, text: str) -> list[str]:
        """Filter by words; return the paths that are left."""
        self.block.locator("input").fill(text)
        return self.column("capture")


def test_captures_are_sorted_by_what_is_pointed_to(visit: Visit, page: Path) -> None:
    with visit(page, 1200) as opened:
        captures = Captures(opened)
        assert len(captures.column("capture")) == 100
        up = captures.sort("capture")
        assert captures.head("capture").get_attribute("aria-sort") == "ascending"
        # numbers in names are in order of their value
        first = [p for p in up if p.startswith("captures/night-0/pod-")]
        assert [int(re.findall(r"pod-(\d+)", p)[0]) for p in first[:3]] == [0, 3, 6]
        assert captures.sort("capture")[0].startswith("in/")
        assert captures.head("capture").get_attribute("aria-sort") == "descending"
        assert captures.sort("wasted")[:3] == ["399", "398", "397"]
        assert captures.head("capture").get_attribute("aria-sort") is None
        # units are known: 130 s is more than 12.3 ms
        assert captures.sort("lookups’ p95")[:4] == ["2.2 min"] * 4
        assert captures.sort("lookups’ p95")[:4] == ["450 µs"] * 4


def test_captures_are_filtered_by_all_of_the_words(visit: Visit, page: Path) -> None:
    with visit(page, 1200) as opened:
        captures = Captures(opened)
        found = captures.filter("pod-7 CONNTRACK")
        numbers = [int(re.findall(r"pod-(\d+)", path)[0]) for path in found]
        expected = {n for n in range(400) if n % 7 == 0 and str(n).startswith("7")}
        assert set(numbers) == expected
        assert captures.block.locator("output").text_content() == f"{len(expected)} of 405"
        assert captures.filter("nothing has that") == []
        assert len(captures.filter("")) == 100
        captures.block.locator(".more button", has_text="show 100").click()
        assert len(captures.column("capture")) == 200
        captures.block.locator(".more button", has_text="show all").click()
        assert len(captures.column("capture")) == 405


def test_names_stay_text_under_a_policy_by_hash(visit: Visit, page: Path) -> None:
    assert "unsafe-inline" not in page.read_text("utf-8")
    with visit(page, 1200) as opened:
        Captures(opened).sort("capture")
        assert opened.evaluate("() => window.hacked") is None
        assert opened.locator("img, b, [onerror], [onmouseover]").count() == 0


def test_without_scripts_the_tables_are_whole(visit: Visit, page: Path) -> None:
    with visit(page, 1200, scripts=False) as opened:
        assert opened.locator("#captures-rows > tbody > tr").count() == 405
        assert opened.locator("#failed-1 > tbody > tr").count() == 12
        assert opened.locator("button, img").count() == 0
        assert opened.locator("input:visible").count() == 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 768, 1100, 1600])
def test_nothing_runs_over_the_edge(visit: Visit, page: Path, width: int, dark: bool) -> None:
    with visit(page, width, dark=dark) as opened:
        seen = opened.evaluate(_MEASURE)
    assert seen["over"] == [] and seen["width"] == seen["view"] == width
    assert seen["scrolled"] == []  # no table is wider than its page


@pytest.mark.parametrize("width", [400, 1600])
def test_long_paths_and_long_reasons_stay_inside(visit: Visit, width: int, tmp_path: Path) -> None:
    deep = f"captures/{30 * 'long/'}pod.pcap"
    rows = [row(deep, workload("shop/web", wasted=9, complete=100))]
    rows.append(failed_row("captures/bad.pcap", f"captures/bad.pcap: not a capture {600 * 'x'}"))
    path = tmp_path / "index.html"
    path.write_text(render_index(make_index(rows), "1"), "utf-8")
    with visit(path, width, dark=True) as opened:
        seen = opened.evaluate(_MEASURE)
    assert seen["over"] == [] and seen["width"] == width
