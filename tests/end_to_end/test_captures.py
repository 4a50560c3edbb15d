"""The committed captures: rebuilt from their texts, listed, and small."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CAPTURES = Path(__file__).resolve().parents[2] / "captures"
TRACES = sorted((CAPTURES / "six-traces").glob("trace-*.txt"))


def test_the_six_traces_are_there() -> None:
    assert len(TRACES) == 6


def test_every_rebuilt_capture_comes_from_its_text() -> None:
    script = CAPTURES / "six-traces" / "rebuild.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
@pytest.mark.parametrize("text", TRACES, ids=lambda p: p.stem[:12])
def test_tcpdump_prints_the_lines_of_the_article_again(text: Path) -> None:
    printed = subprocess.run(
        ["tcpdump", "-nt", "-r", str(text.with_suffix(".pcap"))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed == text.read_text()


def test_the_readme_lists_every_capture() -> None:
    readme = (CAPTURES / "README.md").read_text()
    for path in CAPTURES.rglob("*"):
        if path.is_file() and path.suffix not in (".md", ".py"):
            assert path.name in readme or path.with_suffix(".txt").name in readme, path


def test_captures_stay_small() -> None:
    assert sum(p.stat().st_size for p in CAPTURES.rglob("*") if p.is_file()) < 10_000_000
