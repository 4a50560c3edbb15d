"""The documents: what they show is what the commands print, and nothing is left out.

In README.md, ``console`` blocks are run in a copy of the repository's captures: a line after ``$ ``
is a command, the lines below it are its output, and ``...`` stands for any lines. ``python`` blocks
are doctests. Commands in ``sh`` blocks need a cluster; their pcapkit lines are checked against the
options that exist.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import click
import pytest

import pcapkit
from pcapkit.cli import manual
from pcapkit.cli.root import COMMANDS
from pcapkit.model.vocabulary import WASTE_CLASSES

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "captures/README.md",
    "deploy/README.md",
)
EXAMPLE = ROOT / "reports" / "example"
REBUILD = "pcapkit analyze captures/lab/whatif_w1_glibc_ndots5.pcap -o reports/example"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def sessions() -> list[tuple[str, str]]:
    """Return each command of the README's console blocks, with the output shown."""
    out = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            out.append((command, shown))
    return out


def copy_of_captures(folder: Path) -> Path:
    """Return a folder that looks like the repository, with ``pcapkit`` to be found on the path."""
    shutil.copytree(ROOT / "captures", folder / "captures")
    program = folder / "bin" / "pcapkit"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom pcapkit.cli.main import main\nmain()\n")
    program.chmod(0o755)
    return folder


def shell(command: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        env={
            **os.environ,
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
            "COLUMNS": "80",
            "NO_COLOR": "1",
            "PYTHONPATH": str(ROOT),
        },
    )
    return done.stdout


def pattern(shown: str) -> str:
    """Return an expression for output in which a line of three dots stands for any lines."""
    lines = [re.escape(line.rstrip()) for line in shown.rstrip("\n").split("\n")]
    return "\n".join(r"(?:.*\n)*?.*" if line == re.escape("...") else line for line in lines)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_of_captures(tmp_path_factory.mktemp("readme"))


def test_there_is_something_to_test() -> None:
    assert len(sessions()) >= 7 and blocks("python")


@pytest.mark.parametrize(("command", "shown"), sessions(), ids=lambda p: p.split("\n")[0][:40])
def test_commands_print_what_the_readme_shows(command: str, shown: str, copy: Path) -> None:
    printed = "\n".join(line.rstrip() for line in shell(command, copy).splitlines())
    printed = printed.removeprefix("first run: compiling the decoders, once (about ten seconds)\n")
    assert re.fullmatch(pattern(shown), printed.rstrip("\n")), printed


@pytest.mark.parametrize("block", blocks("python"))
def test_python_gives_what_the_readme_shows(
    block: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    test = doctest.DocTestParser().get_doctest(block, {}, "README.md", "README.md", 0)
    failed, tried = doctest.DocTestRunner().run(test)
    assert tried and not failed


def commands_shown() -> list[list[str]]:
    """Return every use of pcapkit in a block of shell or console, as words."""
    out = []
    for block in [*blocks("sh"), *(command + "\n" for command, _ in sessions())]:
        for line in block.splitlines():
            for part in re.split(r"\||&&|\|\|", line):
                words = shlex.split(part.split(" > ")[0])
                if words and Path(words[0]).name == "pcapkit":
                    out.append(words[1:])
    return out


@pytest.mark.parametrize("words", commands_shown(), ids=" ".join)
def test_commands_shown_exist(words: list[str]) -> None:
    command = getattr(import_module(f"pcapkit.cli.commands.{words[0]}"), words[0])
    with click.Context(command, info_name=words[0]) as context:
        command.parse_args(context, words[1:])  # raises on what it does not know


def test_every_command_is_documented() -> None:
    shown = {words[0] for words in commands_shown()}
    for name in COMMANDS:
        assert name in shown, f"README.md shows no use of {name}"
        assert re.search(rf"^### {name}\b", README, re.MULTILINE), f"no section on {name}"


def test_every_waste_class_is_documented() -> None:
    for code in WASTE_CLASSES:
        assert f"| `{code}` |" in README
        assert manual.explain(code)[0].kind == "waste class"


def test_every_folder_has_its_row_in_the_house() -> None:
    house = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = house[house.index("## Rooms") : house.index("## Rules")]
    named = re.findall(r"^\| `([\w/]+)/` \|", rooms, re.MULTILINE)
    package = ROOT / "pcapkit"
    folders = {p.parent.relative_to(package).as_posix() for p in package.rglob("*.py")}
    assert set(named) == folders - {"."} and len(named) == len(set(named))
    for test in re.findall(r"`(tests/[\w/.]*)`", house):
        assert (ROOT / test).exists(), test


def anchors(document: Path) -> set[str]:
    """Return what its headings are linked by."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ")).lower().replace(" ", "-")
        for line in document.read_text().splitlines()
        if line.startswith("#")
    }


def test_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        path = ROOT / document
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
            if "://" not in target:
                file, _, anchor = target.partition("#")
                linked = path.parent / file if file else path
                assert linked.exists(), (document, target)
                assert not anchor or anchor in anchors(linked), (document, target)


def test_the_set_up_commands_are_those_that_ci_runs() -> None:
    install, test = blocks("sh")[0].splitlines()
    assert install.endswith("pip install . && .venv/bin/pcapkit audit captures")
    assert test.endswith("pip install '.[test]' && .venv/bin/pytest")
    ci = (ROOT / ".ci" / "run").read_text()
    assert "install --quiet --disable-pip-version-check '.[test]'" in ci
    assert "ruff" in ci and "mypy" in ci and "pytest" in ci


@pytest.mark.parametrize(("required", "status"), [("1", 1), ("", 0)])
def test_a_missing_program_fails_where_programs_are_required(required: str, status: int) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "tests/end_to_end/test_captures.py",
            "-k",
            "prints_the_lines",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": "/nowhere", "PCAPKIT_REQUIRE_PROGRAMS": required},
    )
    assert done.returncode == status, done.stdout
    assert "tcpdump is not installed" in done.stdout


def test_the_newest_version_in_the_changelog_is_this_one() -> None:
    versions = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert [v for v in versions if v != "Unreleased"][0] == pcapkit.__version__


def test_the_distribution_holds_what_the_package_reads() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    assert set(extras) == {"all", "distributed", "dnstap", "remote", "share", "sql", "test"}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["pcapkit"]
    kept = set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    assert kept >= {"pcapkit", "captures", "tests", "reports/example", ".ci"}
    assert kept >= {d for d in DOCUMENTS if "/" not in d}


class _WithoutPictures(HTMLParser):
    """The text of a page, its pictures left out."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside += tag == "svg"

    def handle_endtag(self, tag: str) -> None:
        self.inside -= tag == "svg"

    def handle_data(self, data: str) -> None:
        if not self.inside and data.strip():
            self.text.append(data)


def text_of(page: Path) -> list[str]:
    parser = _WithoutPictures()
    parser.feed(page.read_text())
    return parser.text


def test_the_example_report_is_what_its_command_writes(copy: Path) -> None:
    """Pictures are compared by name: other versions of matplotlib draw other bytes."""
    shell(REBUILD, copy)
    made = copy / "reports" / "example"
    kept = {p.relative_to(EXAMPLE) for p in EXAMPLE.rglob("*") if p.is_file()}
    written = {p.relative_to(made) for p in made.rglob("*") if p.is_file()}
    assert kept - {Path("report.png")} == written, f"rebuild it: {REBUILD}"
    for path in written:
        if path.suffix == ".json":
            assert (EXAMPLE / path).read_bytes() == (made / path).read_bytes(), REBUILD
        elif path.suffix == ".html":
            assert text_of(EXAMPLE / path) == text_of(made / path), REBUILD
        else:
            assert (EXAMPLE / path).read_bytes().startswith(b"\x89PNG")
    assert REBUILD in (ROOT / "CONTRIBUTING.md").read_text()


def test_pictures_stay_small() -> None:
    assert (EXAMPLE / "report.png").stat().st_size < 200_000
    assert sum(p.stat().st_size for p in EXAMPLE.rglob("*") if p.is_file()) < 1_000_000
