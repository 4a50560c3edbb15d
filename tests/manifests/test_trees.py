"""Folders of manifests, each with the diff that its plan becomes, and what is said beside it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pcapkit.manifests.fix import Fix, fix_plan
from pcapkit.manifests.output import unified_diff, write_fix
from pcapkit.manifests.tree import read_tree
from tests.manifests.lists import LISTS
from tests.manifests.plans import plan, write_tree
from tests.manifests.trees import PLAIN, Case

EXPECTED = Path(__file__).parent / "expected"
CASES = {**PLAIN, **LISTS}


def fixed(case: Case, folder: Path) -> Fix:
    return fix_plan(
        plan(*case.steps),
        read_tree(folder),
        case.clients,
        case.asked or {},
        nameservers=case.nameservers,
        include_review=case.include_review,
    )


def contents(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def without_dns(document: Any) -> Any:
    """Return a document without what a plan may change in it: its DNS, and the full names."""
    if isinstance(document, dict):
        ours = ("dnsConfig", "dnsPolicy", "patches")
        return {k: without_dns(v) for k, v in document.items() if k not in ours}
    if isinstance(document, list):
        return [without_dns(v) for v in document]
    if isinstance(document, str):
        return document.removesuffix(".").removesuffix(".svc.cluster.local").removesuffix(".shop")
    return document


def test_every_case_has_its_diff() -> None:
    assert {p.stem for p in EXPECTED.glob("*.diff")} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_diff_is_the_expected_one(name: str, tmp_path: Path) -> None:
    folder = write_tree(tmp_path, CASES[name].files)
    before = contents(folder)
    made = fixed(CASES[name], folder)
    assert unified_diff(made).encode() == (EXPECTED / f"{name}.diff").read_bytes()
    for part in CASES[name].says:
        assert any(part in note for note in made.notes), made.notes
    assert contents(folder) == before


@pytest.mark.parametrize("name", CASES)
def test_writing_changes_what_the_diff_says_and_nothing_else(name: str, tmp_path: Path) -> None:
    """What is written parses to what was there but for dnsConfig and names; once is enough."""
    case = CASES[name]
    folder = write_tree(tmp_path, case.files)
    before = contents(folder)
    made = fixed(case, folder)
    written, refused = write_fix(made, folder)
    assert not refused and len(written) == len(made.changes)
    after = contents(folder)
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {c.path for c in made.changes}
    for path in changed & set(before):
        old, new = yaml.safe_load_all(before[path]), yaml.safe_load_all(after[path])
        assert list(map(without_dns, old)) == list(map(without_dns, new)), path
        for line in after[path].splitlines(keepends=True):
            assert not before[path].count(b"\r\n") or line.endswith(b"\r\n")
    assert unified_diff(fixed(case, folder)) == ""


@pytest.mark.parametrize("name", CASES)
def test_git_applies_the_diff(name: str, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    case = CASES[name]
    written = write_tree(tmp_path / "written", case.files)
    patched = write_tree(tmp_path / "patched", case.files)
    made = fixed(case, written)
    write_fix(made, written)
    if text := unified_diff(made):
        subprocess.run(
            ["git", "apply", "--whitespace=nowarn", "-"],
            input=text.encode(),
            cwd=patched,
            check=True,
            env={"GIT_CEILING_DIRECTORIES": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )
    assert contents(written) == contents(patched)
