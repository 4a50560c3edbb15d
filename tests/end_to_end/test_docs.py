"""The documents: what they show is what the commands print, and nothing is left out.

In README.md and ``docs/``, ``console`` blocks are run in a copy of the repository's captures: a
line after ``$ `` is a command, the lines below it are its output, and ``...`` stands for any lines.
``python`` blocks are doctests. Of ``sh`` blocks, pcapkit's options are checked against those that
exist, and commands whose input is kept here are run; the others need a cluster.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from functools import cache
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import click
import pytest

import pcapkit
from pcapkit.cli import manual
from pcapkit.cli.root import COMMANDS, EXIT_STATUSES
from pcapkit.model.vocabulary import WASTE_CLASSES
from pcapkit.resolver.models import RESOLVERS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
#: Those whose examples are run.
PAGES = (README, *sorted(DOCS.rglob("*.md")))
DOCUMENTS = (
    *PAGES,
    *(
        ROOT / name
        for name in ("CONTRIBUTING.md", "CHANGELOG.md", "captures/README.md", "deploy/README.md")
    ),
)
EXAMPLE = ROOT / "reports" / "example"
REBUILD = "pcapkit analyze captures/lab/whatif_w1_glibc_ndots5.pcap -o reports/example"
#: Options that name a file or a folder to be read.
READ_BY = {"resolv_conf", "corefile", "pods", "manifests", "from_file", "history"}
#: Arguments that name none.
SAID = {"query", "name", "code"}


sys.path.insert(0, str(DOCS / "site"))

from reference_pages import pages as pages_made  # noqa: E402


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def blocks(page: Path, language: str) -> list[str]:
    """Return the blocks of a language, also those inside of lists."""
    text = page.read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, flags=re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, block in found]


def sessions() -> list[tuple[str, str, str]]:
    """Return each command of console blocks: its page, itself, the output shown."""
    out = []
    for page in PAGES:
        for block in blocks(page, "console"):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, shown = part.partition("\n")
                out.append((named(page), command, shown))
    return out


def copy_of_captures(folder: Path) -> Path:
    """Return a folder that looks like the repository, with ``pcapkit`` to be found on the path."""
    shutil.copytree(ROOT / "captures", folder / "captures")
    shutil.copytree(ROOT / "tests" / "data" / "sources", folder / "tests" / "data" / "sources")
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
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A copy for each page: what one example writes, the next one of the page may read."""
    return {}


@pytest.fixture
def copy(
    request: pytest.FixtureRequest,
    copies: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    page = getattr(request.node, "callspec", None)
    name = page.params.get("page", "") if page else ""
    if name not in copies:
        copies[name] = copy_of_captures(tmp_path_factory.mktemp("docs"))
    return copies[name]


def test_there_is_something_to_test() -> None:
    shown = {page for page, _, _ in sessions()}
    assert len(sessions()) >= 12 and "README.md" in shown and len(shown) >= 8
    assert blocks(DOCS / "reference" / "python.md", "python")


@pytest.mark.parametrize(("page", "command", "shown"), sessions(), ids=lambda p: p[:40])
def test_commands_print_what_is_shown(page: str, command: str, shown: str, copy: Path) -> None:
    printed = "\n".join(line.rstrip() for line in shell(command, copy).splitlines())
    printed = printed.removeprefix("first run: compiling the decoders, once (about ten seconds)\n")
    assert re.fullmatch(pattern(shown), printed.rstrip("\n")), printed


@pytest.mark.parametrize(
    ("page", "block"), [(named(page), block) for page in PAGES for block in blocks(page, "python")]
)
def test_python_gives_what_is_shown(
    page: str, block: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    test = doctest.DocTestParser().get_doctest(block, {}, page, page, 0)
    failed, tried = doctest.DocTestRunner().run(test)
    assert tried and not failed


def lines_of(block: str) -> list[str]:
    """Return the lines of a block of shell, those that go on after a backslash as one."""
    return block.replace("\\\n", " ").splitlines()


def words_of(line: str) -> list[list[str]]:
    """Return the commands of a line of shell, as words: what is behind a redirection left out."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    out: list[list[str]] = [[]]
    for word in lexer:
        if word.startswith("#"):
            break
        out[-1].append(word)
        if word in ("|", "&&", "||", ";"):
            out[-1].pop()
            out.append([])
    return [words[: words.index(">")] if ">" in words else words for words in out]


def commands_shown() -> list[tuple[str, list[str]]]:
    """Return every use of pcapkit in a block of shell or console: its page, and it as words."""
    out = []
    for page in PAGES:
        shown = [command for there, command, _ in sessions() if there == named(page)]
        for line in [*(line for b in blocks(page, "sh") for line in lines_of(b)), *shown]:
            for words in words_of(line):
                if words and Path(words[0]).name == "pcapkit":
                    out.append((named(page), words[1:]))
    return out


def parsed(words: list[str]) -> tuple[click.Command, click.Context]:
    """Return a command and the context of its words. Raises where it does not know one."""
    command: click.Command = getattr(import_module(f"pcapkit.cli.commands.{words[0]}"), words[0])
    return command, command.make_context(words[0], words[1:])


@pytest.mark.parametrize(("page", "words"), commands_shown(), ids=lambda p: " ".join(p)[:60])
def test_commands_shown_exist(page: str, words: list[str]) -> None:
    parsed(words)


def can_run(line: str, folder: Path) -> bool:
    """Say whether a line of shell is one use of pcapkit, and all that it reads is there."""
    words, *more = words_of(line)
    if more or "<" in words or words[:1] != ["pcapkit"]:
        return False
    command, context = parsed(words[1:])
    if words[1] == "capture" or context.params.get("watch"):
        return False  # the one needs a cluster, the other stays
    read: list[str] = []
    for parameter in command.params:
        value = context.params.get(str(parameter.name))
        is_read = parameter.name in READ_BY or isinstance(parameter, click.Argument)
        if value and is_read and parameter.name not in SAID:
            read += [value] if isinstance(value, str) else map(str, value)
    return all(
        not path.startswith("/") and ":" not in path and any(folder.glob(path)) for path in read
    )


def scripts() -> list[tuple[str, str]]:
    found = [(named(page), block) for page in PAGES for block in blocks(page, "sh")]
    return [(page, block) for page, block in found if "pcapkit " in block]


@pytest.mark.parametrize(("page", "block"), scripts(), ids=lambda p: p[:40])
def test_scripts_run_where_their_captures_are_kept(page: str, block: str, copy: Path) -> None:
    for line in lines_of(block):
        if can_run(line, copy):
            shell(line, copy)


def test_some_scripts_are_run(tmp_path: Path) -> None:
    folder = copy_of_captures(tmp_path)
    runnable = [line for _, block in scripts() for line in lines_of(block) if can_run(line, folder)]
    assert len(runnable) >= 3


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    page = DOCS / "reference" / "commands" / f"{name}.md"
    assert page.exists(), f"no page on {name}"
    assert (named(page), name) in {(there, words[0]) for there, words in commands_shown()}
    assert f"](docs/reference/commands/{name}.md)" in README.read_text()


def test_every_exit_status_is_documented() -> None:
    rows = re.findall(r"^\| (\d+) \| ", README.read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == list(EXIT_STATUSES)


def test_every_waste_class_is_documented() -> None:
    words = (DOCS / "reference" / "words.md").read_text()
    for code in WASTE_CLASSES:
        assert f"| `{code}` |" in words
        assert manual.explain(code)[0].kind == "waste class"


def test_every_resolver_is_documented() -> None:
    page = (DOCS / "reference" / "commands" / "expand.md").read_text()
    for resolver in RESOLVERS:
        assert f"`{resolver.name}`" in page


def test_the_readme_is_read_in_three_screens() -> None:
    assert len(README.read_text().splitlines()) <= 150


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


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" not in target:
            file, _, anchor = target.partition("#")
            linked = (path.parent / file).resolve() if file else path
            if named(linked).removeprefix("docs/") in pages_made():
                continue  # the site is tested for these
            assert linked.exists(), target
            assert not anchor or anchor in anchors(linked), target


def test_the_set_up_commands_are_those_that_ci_runs() -> None:
    install, test = blocks(README, "sh")[0].splitlines()
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
    assert set(extras) == {
        "all",
        "distributed",
        "dnstap",
        "docs",
        "release",
        "remote",
        "share",
        "sql",
        "test",
    }
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["pcapkit"]
    kept = set(project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"])
    assert kept >= {"pcapkit", "captures", "tests", "reports/example", ".ci"}
    assert kept >= {named(d) for d in DOCUMENTS if d.parent == ROOT} | {"docs", "mkdocs.yml"}


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
