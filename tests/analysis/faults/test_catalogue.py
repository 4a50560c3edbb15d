"""Every fault of the catalogue has an input that shows it, and some that only look alike."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pcapkit.analysis.faults.catalogue import FAULTS
from pcapkit.analysis.faults.fault import Fault
from pcapkit.cli.manual import explain, render_entry
from pcapkit.model.results import Finding
from pcapkit.pipeline.analysis import Analysis
from tests.analysis.faults.cases import CASES, Input

BY_CODE = {fault.code: fault for fault in FAULTS}


def finding_of(analysis: Analysis, code: str) -> Finding | None:
    return next((f for f in analysis.findings if f.code == code), None)


def rows(kind: str) -> list[object]:
    """Return (code, input) of all inputs of a kind, each with a name of its own."""
    return [
        pytest.param(code, of, id=f"{code}-{number}")
        for code, case in CASES.items()
        for number, of in enumerate(getattr(case, kind))
    ]


def test_every_fault_has_a_row_with_near_misses() -> None:
    assert list(CASES) == [fault.code for fault in FAULTS]
    assert all(case.near for case in CASES.values())


@pytest.mark.parametrize("code", CASES)
def test_its_input_shows_it_and_says_what_else_is_excluded(code: str, tmp_path: Path) -> None:
    finding = finding_of(CASES[code].shows(tmp_path), code)
    assert finding is not None
    assert (finding.certainty, finding.severity) == ("shown", BY_CODE[code].severity)
    assert finding.excludes
    assert not any(re.search(r"[{}]|not excluded", text) for text in finding.excludes)


@pytest.mark.parametrize(("code", "near"), rows("near"))
def test_what_looks_alike_does_not_give_it(code: str, near: Input, tmp_path: Path) -> None:
    analysis = near(tmp_path)
    assert analysis.message_counts.total or analysis.packets.skipped
    assert finding_of(analysis, code) is None


@pytest.mark.parametrize(("code", "doubtful"), rows("doubtful"))
def test_what_another_explanation_fits_is_only_consistent_with_it(
    code: str, doubtful: Input, tmp_path: Path
) -> None:
    finding = finding_of(doubtful(tmp_path), code)
    assert finding is not None
    assert (finding.certainty, finding.severity) == ("consistent_with", "info")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.code)
def test_a_certainty_that_depends_is_in_the_manual_and_in_the_table(fault: Fault) -> None:
    always_shown = Fault.__dataclass_fields__["certainty"].default
    depends = fault.certainty is not always_shown
    assert depends == bool(CASES[fault.code].doubtful)
    assert depends == ("consistent_with" in fault.rivals)
    manual = " ".join("".join(map(render_entry, explain(fault.code))).split())
    assert f" not {fault.rivals}" in manual
