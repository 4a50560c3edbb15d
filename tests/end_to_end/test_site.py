"""The site of the documentation, the pages that are made from the code, and the man pages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
import yaml

from pcapkit.cli.manual import entries
from pcapkit.cli.root import COMMANDS
from pcapkit.model.columns import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "site"))

import make_site  # noqa: E402
import man_pages  # noqa: E402
import reference_pages  # noqa: E402


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    assert make_site.build(folder) == []
    return folder


def text(page: Path) -> str:
    return unescape(re.sub(r"<[^>]+>", "", page.read_text()))


def test_the_site_has_every_page(site: Path) -> None:
    named = make_site.pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    for path in (found.relative_to(DOCS) for found in DOCS.rglob("*.md")):
        page = path.with_name("index.md") if path.name == "README.md" else path
        assert (site / page.with_suffix(".html")).exists()
        assert path.as_posix() in named or path.parts[0] == "decisions", f"mkdocs.yml: {path}"


def test_every_command_stands_in_the_reference_with_its_options(site: Path) -> None:
    pages = {name: text(site / "reference" / "commands" / f"{name}.html") for name in COMMANDS}
    for name, command, _ in reference_pages.commands():
        for option in reference_pages.options(command):
            assert max(option.opts, key=len) in pages[name]
            assert str(option.envvar) in pages[name]
    listed = text(site / "reference" / "commands" / "index.html")
    assert all(name in listed for name in COMMANDS) and "141" in listed


def test_every_entry_of_explain_stands_in_the_reference(site: Path) -> None:
    kinds = {kind for _, _, kinds in reference_pages.MANUALS.values() for kind in kinds}
    assert {entry.kind for entry in entries()} <= kinds
    pages = [text(site / "reference" / f"{name}.html") for name in reference_pages.MANUALS]
    together = " ".join(" ".join(pages).split())
    for entry in entries():
        assert entry.code in together
        for told in (entry.meaning, entry.why, entry.action):
            assert " ".join(told.split()) in together, entry.code


def test_every_column_stands_in_the_reference(site: Path) -> None:
    shown = text(site / "reference" / "tables.html")
    for table, columns in COLUMNS.items():
        assert table in shown
        for column, meaning in columns.items():
            assert column in shown and " ".join(meaning.split()) in " ".join(shown.split())


def test_the_keys_of_the_schemas_stand_in_the_reference(site: Path) -> None:
    shown = text(site / "reference" / "json.html")
    for key in ("clients[].ndots.value", "plans[].steps[].safety", "together", "counts", "more"):
        assert key in shown


def test_every_threshold_has_its_time_and_its_reason() -> None:
    rows = {name: (time, why) for name, time, why in reference_pages.thresholds()}
    assert rows["NEAR_NS"][0] == "5 ms" and "stub resolver" in rows["NEAR_NS"][1]
    assert rows["LONGEST_TIMEOUT_NS"][0] == "40 s"


def test_what_leads_nowhere_or_comes_from_elsewhere_is_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<a href="b.html">b</a><a href="a.html#x">a</a><a href="https://example.com/">e</a>'
        '<img src="no.png"><script src="https://example.com/x.js"></script>'
        '<link rel="stylesheet" href="//example.com/x.css">'
    )
    found = make_site.complaints(tmp_path)
    assert [line.split(": ")[1] for line in found] == [
        "b.html leads nowhere",
        "no.png leads nowhere",
        "loads https://example.com/x.js",
        "loads //example.com/x.css",
    ]


def test_links_to_the_repository_lead_to_copies(site: Path) -> None:
    report = "repository/reports/example/whatif_w1_glibc_ndots5/report.html"
    assert (site / report).exists()
    assert f'href="{report}"' in (site / "index.html").read_text()
    assert (site / "repository" / "deploy" / "grafana" / "pcapkit.json").exists()


def test_man_pages_are_made_and_lint_finds_nothing(tmp_path: Path) -> None:
    pages = man_pages.write(tmp_path)
    assert {page.name for page in pages} == {
        "pcapkit.1",
        *(f"pcapkit-{name}.1" for name in COMMANDS),
    }
    mandoc = shutil.which("mandoc")
    if mandoc is None:
        pytest.skip("mandoc is not installed")
    linted = subprocess.run([mandoc, "-T", "lint", *pages], capture_output=True, text=True)
    # They carry no date, so that the same version gives the same bytes.
    assert [line for line in linted.stdout.splitlines() if "missing date" not in line] == []
    shown = subprocess.run(
        [mandoc, "-T", "utf8", tmp_path / "pcapkit-audit.1"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    plain = re.sub(r".\x08", "", shown.stdout)
    for told in ("--group-by WHAT", "PCAPKIT_AUDIT_GROUP_BY", "default: html,json", "EXIT STATUS"):
        assert told in plain


def test_pictures_of_the_gallery_stay_small() -> None:
    pictures = list((DOCS / "gallery").glob("*.png"))
    page = (DOCS / "gallery" / "index.md").read_text()
    assert len(pictures) >= 3 and all(f"({picture.name})" in page for picture in pictures)
    assert sum(picture.stat().st_size for picture in pictures) < 600_000
