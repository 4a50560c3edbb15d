"""The index of an audit in a real browser: sorted, filtered, without scripts, deaf to names."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
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

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

#: Uses the page as a reader does, and says in the title what is seen.
_USE = """
<script>
{
  const table = document.querySelector("#captures-rows"), block = table.closest(".rows");
  const seen = {};
  const rows = () => [...table.tBodies[0].rows];
  const column = n => rows().map(row => row.cells[n].textContent);
  const heads = [...table.tHead.rows[0].cells];
  const titles = heads.map(head => head.textContent);
  const sort = title => heads[titles.indexOf(title)].querySelector("button").click();
  const look = title => column(titles.indexOf(title));
  const input = block.querySelector("input");
  const filter = text => { input.value = text; input.dispatchEvent(new Event("input")); };
  const press = text => [...block.querySelectorAll(".more button")]
    .find(button => button.textContent.startsWith(text)).click();
  seen.first = rows().length;
  sort("capture"); seen.up = column(0).slice(0, 3);
  seen.ariaUp = heads[0].getAttribute("aria-sort");
  sort("capture"); seen.down = column(0).slice(0, 2);
  seen.ariaDown = heads[0].getAttribute("aria-sort");
  sort("wasted"); seen.wasted = look("wasted").slice(0, 3);
  seen.ariaOther = heads[0].getAttribute("aria-sort");
  sort("lookups’ p95"); seen.p95 = look("lookups’ p95").slice(0, 4);
  sort("lookups’ p95"); seen.p95Up = look("lookups’ p95").slice(0, 4);
  filter("pod-7 CONNTRACK"); seen.filtered = column(0);
  seen.said = block.querySelector("output").textContent;
  filter("nothing has that"); seen.none = rows().length;
  filter(""); seen.all = rows().length;
  press("show 100"); seen.more = rows().length;
  press("show all"); seen.everything = rows().length;
  seen.hacked = window.hacked === true;
  seen.odd = document.querySelectorAll("img, b, [onerror], [onmouseover]").length;
  document.title = "SEEN " + JSON.stringify(seen);
}
</script>
"""
_MEASURE = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") &&
    e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
  document.title = "SEEN " + JSON.stringify({
    over: wide.map(e => e.tagName + "." + e.className).slice(0, 5),
    width: document.documentElement.scrollWidth, view: document.documentElement.clientWidth,
    scrolled: [...document.querySelectorAll(".scroll")]
      .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.firstChild.id),
    page: getComputedStyle(document.body).backgroundColor,
  });
});
</script>
"""


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


def with_script(page: Path, script: str) -> str:
    """Return a page with a script of the test's, which its own policy would not let run."""
    text = re.sub(r"<meta http-equiv[^>]*>", "", page.read_text("utf-8"))
    return text.replace("</body>", script + "</body>")


def dump(page: Path, profile: Path, *options: str) -> tuple[str, str]:
    """Return the page as the browser has it, and what it complains of on its console."""
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            "--allow-file-access-from-files",
            "--virtual-time-budget=4000",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    return done.stdout.decode(), "\n".join(said)


def seen(dom: str) -> dict[str, Any]:
    found = re.search(r"<title>SEEN (.*?)</title>", dom, re.DOTALL)
    assert found is not None, dom[:500]
    text = found[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">")
    out: dict[str, Any] = json.loads(text.replace("&nbsp;", " ").replace("&amp;", "&"))
    return out


@pytest.fixture(scope="module")
def used(page: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """What a reader sees who sorts and filters, and what the console says."""
    other = page.with_name("used.html")
    other.write_text(with_script(page, _USE), "utf-8")
    dom, console = dump(other, tmp_path_factory.mktemp("profile"))
    return seen(dom), console


def test_captures_are_sorted_by_what_is_pointed_to(used: tuple[dict[str, Any], str]) -> None:
    found, _ = used
    assert found["first"] == 100
    # numbers in names are in order of their value
    assert [p for p in found["up"] if p.startswith("captures/night-0/pod-")][0].startswith(
        "captures/night-0/pod-0.pcap"
    )
    assert found["down"][0].startswith("in/") and found["ariaUp"] == "ascending"
    assert found["ariaDown"] == "descending" and found["ariaOther"] is None
    assert found["wasted"] == ["399", "398", "397"]
    assert found["p95"] == ["2.2 min"] * 4  # units are known: 130 s is more than 12.3 ms
    assert found["p95Up"] == ["450 µs"] * 4


def test_captures_are_filtered_by_all_of_the_words(used: tuple[dict[str, Any], str]) -> None:
    found, _ = used
    numbers = [int(re.findall(r"pod-(\d+)", path)[0]) for path in found["filtered"]]
    expected = {n for n in range(400) if n % 7 == 0 and str(n).startswith("7")}
    assert set(numbers) == expected
    assert found["said"] == f"{len(expected)} of 405"
    assert (found["none"], found["all"]) == (0, 100)
    assert (found["more"], found["everything"]) == (200, 405)


def test_names_stay_text_and_the_console_is_silent(used: tuple[dict[str, Any], str]) -> None:
    found, console = used
    assert not found["hacked"] and found["odd"] == 0
    assert console == ""


def test_without_scripts_the_tables_are_whole(page: Path, tmp_path: Path) -> None:
    framed = page.with_name("sandboxed.html")  # a frame that may not run scripts
    framed.write_text(
        '<iframe sandbox="allow-same-origin" src="index.html" style="width:1200px;height:900px">'
        '</iframe><script>const f = document.querySelector("iframe");f.onload = () => {'
        "const d = f.contentDocument; document.title = 'SEEN ' + JSON.stringify({"
        "rows: d.querySelector('#captures-rows').tBodies[0].rows.length,"
        "failed: d.querySelector('#failed-1').tBodies[0].rows.length,"
        "buttons: d.querySelectorAll('button').length,"
        "inputs: [...d.querySelectorAll('input')].filter(e => e.offsetParent).length,"
        "odd: d.querySelectorAll('img').length})}</script>"
    )
    found = seen(dump(framed, tmp_path)[0])
    assert found == {"rows": 405, "failed": 12, "buttons": 0, "inputs": 0, "odd": 0}


@pytest.mark.parametrize("width", [400, 768, 1100, 1600])
def test_nothing_runs_over_the_edge(page: Path, width: int, tmp_path: Path) -> None:
    measured = page.with_name("measured.html")
    measured.write_text(with_script(page, _MEASURE), "utf-8")
    framed = page.with_name("framed.html")  # a window is never narrower than 500 px
    framed.write_text(
        f'<iframe src="measured.html" style="width:{width}px;height:900px;border:0"></iframe>'
        '<script>const f = document.querySelector("iframe");f.onload = () => setTimeout(() =>'
        "{document.title = f.contentDocument.title}, 200)</script>"
    )
    dom, _ = dump(framed, tmp_path, f"--window-size={max(width + 100, 600)},900")
    found = seen(dom)
    assert found["over"] == [] and found["width"] == found["view"]
    assert found["scrolled"] == []  # no table is wider than its page
