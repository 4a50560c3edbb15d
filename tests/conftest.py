"""What every test needs: the folder above on the path, so that ``tests.build`` can be imported.

A test that needs a program from outside skips, with a reason that ends in "is not installed", where
it is missing. With PCAPKIT_REQUIRE_PROGRAMS set, such a skip is a failure.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

# A shell ignores Ctrl-C for what it starts in the background, and what that starts ignores it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):  # commands print the same in every CI
    os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for a missing program into a failure where programs are required."""
    report = yield
    if report.skipped and os.environ.get("PCAPKIT_REQUIRE_PROGRAMS") and call.excinfo is not None:
        reason = str(call.excinfo.value)
        if reason.endswith("is not installed"):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: {reason}, and PCAPKIT_REQUIRE_PROGRAMS is set"
    return report
