"""The report in a real browser: it renders at every width, and nothing runs over the edge."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pcapkit.batch.overview.index import make_index
from pcapkit.batch.rows import failed_row, row_of
from pcapkit.pipeline.analyze import analyze
from pcapkit.report.html.index import render_index

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

_MEASURE = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e =>
    !e.closest(".scroll") && !e.closest("pre") && !e.closest("svg") &&
    e.getBoundingClientRect().right > document.documentElement.clientWidth + 1);
  document.title = "MEASURED " + JSON.stringify({
    width: document.documentElement.scrollWidth, view: document.documentElement.clientWidth,
    over: wide.map(e => e.tagName + "." + e.className).slice(0, 5),
    svgs: document.querySelectorAll("svg").length,
    ink: getComputedStyle(document.body).color,
    page: getComputedStyle(document.body).backgroundColor,
  });
});
</script>
"""


def measured(page: str) -> str:
    """Return a page with a script that measures it, which its own policy would not let run."""
    page = re.sub(r"<meta http-equiv[^>]*>", "", page)
    return page.replace("</body>", _MEASURE + "</body>")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browser") / "report.html"
    analysis = analyze(LAB / "multi6_any_sll2.pcap")
    analysis.to_html(path)
    path.write_text(measured(path.read_text()))
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of an audit, over a long path, a capture that failed, and one with no waste."""
    folder = tmp_path_factory.mktemp("index")
    rows = [
        row_of(f"captures/{n * 'long/'}pod.pcap", analyze(LAB / name), "pod/report.html")
        for n, name in ((30, "multi6_any_sll2.pcap"), (1, "midchain_start_and_end.pcap"))
    ]
    rows.append(failed_row("captures/bad.pcap", "captures/bad.pcap: not a capture " + 60 * "x"))
    path = folder / "index.html"
    page = render_index(make_index(rows), "1")
    path.write_text(measured(page))
    return path


def measure(report: Path, width: int, *, dark: bool, profile: Path) -> dict[str, object]:
    # Chromium's window is never narrower than 500 px, so narrow pages are framed.
    page = report
    if width < 500:
        page = report.with_name("narrow.html")
        page.write_text(
            f'<iframe src="{report.name}" style="width:{width}px;height:900px;border:0"></iframe>'
            '<script>const f = document.querySelector("iframe");f.onload = () => setTimeout(() =>'
            "{document.title = f.contentDocument.title}, 200)</script>"
        )
    done = subprocess.run(
        [
            str(CHROMIUM),
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--dump-dom",
            "--allow-file-access-from-files",
            "--virtual-time-budget=4000",
            f"--user-data-dir={profile}",
            f"--window-size={max(width, 500)},900",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search(r"<title>MEASURED (.*?)</title>", done.stdout)
    assert found is not None, done.stderr[-500:]
    out: dict[str, object] = json.loads(found[1].replace("&quot;", '"'))
    return out


@pytest.mark.parametrize("width", [400, 768, 1600])
def test_nothing_runs_over_the_edge(report: Path, width: int, tmp_path: Path) -> None:
    seen = measure(report, width, dark=False, profile=tmp_path)
    assert seen["over"] == []
    assert seen["width"] == seen["view"]
    assert seen["svgs"] == 8


def test_dark_and_light_differ(report: Path, tmp_path: Path) -> None:
    light = measure(report, 1200, dark=False, profile=tmp_path / "a")
    dark = measure(report, 1200, dark=True, profile=tmp_path / "b")
    assert light["page"] != dark["page"]
    assert light["ink"] != dark["ink"]


@pytest.mark.parametrize("width", [400, 1600])
def test_nothing_of_the_index_runs_over_the_edge(index: Path, width: int, tmp_path: Path) -> None:
    seen = measure(index, width, dark=True, profile=tmp_path)
    assert seen["over"] == []
    assert seen["width"] == seen["view"]
