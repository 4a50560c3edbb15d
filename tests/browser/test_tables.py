"""Pages under their own policy: the script that sorts tables runs, and nothing is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pcapkit.pipeline.analyze import analyze
from tests.browser.test_index import CHROMIUM, dump
from tests.browser.test_index import page as index  # noqa: F401 - a fixture

LAB = Path(__file__).resolve().parents[2] / "captures" / "lab"
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")


@pytest.mark.parametrize("of", ["report", "index"])
def test_the_policy_lets_the_page_s_own_script_run(
    of: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / "report.html"
    if of == "report":
        analyze(LAB / "multi6_any_sll2.pcap").to_html(path)
    else:
        path = request.getfixturevalue("index")
    assert "unsafe-inline" not in path.read_text("utf-8")
    dom, console = dump(path, tmp_path / "profile")
    assert console == ""
    assert re.search(r"<th [^>]*><button", dom) and "show all" in dom
