"""Some trials of runs that are ended at random moments; ``kills.py`` makes more."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.environment.kills import CASES, run_trials


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify and /proc are Linux's")
def test_whatever_ends_a_run_leaves_whole_reports_and_nothing_else(tmp_path: Path) -> None:
    outcomes = list(run_trials(tmp_path, 2 * len(CASES), seed=21))
    assert not [(o.case, o.sent, o.aimed, o.faults) for o in outcomes if o.faults]
    assert any(o.hit for o in outcomes)
