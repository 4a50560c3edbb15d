"""Every exit: text of attackers and of strangers stays text, whatever it is written to.

The same hostile texts are names on the wire, search suffixes, pods, namespaces, containers, files
and folders; each output is read back by a parser of its format.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pcapkit.codes import ANSWER, NODATA
from tests import build
from tests.cli.test_cli import run
from tests.play import Workload

#: None holds a dot or a slash, so each can be a label and a file's name.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "<b>bold<!--",
    "'\"onmouseover='alert(1)",
    "</title><script>alert(1)<",
    "&lt;script&gt;&#x3c;",
    "=cmd|' -C calc'!A0",
    "+1-1",
    "@SUM(1)",
    "-2+3",
    "a,b;c\td",
    "line\nbreak\r\nmore",
    "\x1b[31mred\x1b[0m\x07",
    "\x1b]8;;http:link\x1b\\text\x9b31m",
    "\u202egnp\u2066x\u2069",
    "\ufeff\u200bzero",
    "$(touch hacked)`touch hacked`;touch hacked|&",
    "' OR 1=1 --",
    "{{7*7}}${7*7}#{7*7}%{7*7}",
    "[x](javascript:alert(1))",
    "|a|b|`c`**d**__e__",
    "::error file=x::hacked",
    "%0Ahacked%00",
    "]]><evil>",
    "!!python: {a: [b]}&c *d",
    '# HELP x\\n"}',
    "--option=1",
    "..\\..\\windows",
    "&amp",
    "\xff\xfe",
)
#: C0 and C1 controls but the line's end and a tab, marks of direction, and what is no character.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def _label(text: str) -> str:
    """Return a text as a label of a name: at most 63 bytes, none of them a dot."""
    return text.replace(".", "").encode()[:60].decode(errors="ignore")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a capture, its pods and a manifest, all of them hostile."""
    folder = tmp_path_factory.mktemp("exits") / _file(HOSTILE[0] + HOSTILE[11])
    folder.mkdir()
    names = [f"{_label(text)}.example" for text in HOSTILE]
    names += [f"{_label(text)}" for text in HOSTILE[:8]]
    zone = dict.fromkeys(names[::2], (ANSWER, NODATA))
    clients = ("10.244.1.17", "10.244.1.18")
    search = (f"{_label(HOSTILE[1])}.svc.cluster.local", "svc.cluster.local", _label(HOSTILE[5]))
    work = Workload(names, zone, search=search, clients=clients, rounds=2)
    work.write(folder, _file("".join(HOSTILE[2:4]) + HOSTILE[15]) + ".pcap")
    Workload(names, zone, rounds=1).write(folder, _file(HOSTILE[10] + HOSTILE[20]) + ".pcap")
    pods = [
        {
            "kind": "Pod",
            "metadata": {
                "name": f"{HOSTILE[at]}web",
                "namespace": HOSTILE[at + 1],
                "ownerReferences": [
                    {"kind": HOSTILE[at + 2], "name": HOSTILE[at + 3], "controller": True}
                ],
            },
            "spec": {"dnsPolicy": "ClusterFirst", "nodeName": HOSTILE[at + 4]},
            "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"},
        }
        for at, address in zip((0, 9), clients, strict=True)
    ]
    (folder.parent / "pods.json").write_text(json.dumps({"kind": "List", "items": pods}))
    return folder


def _file(text: str) -> str:
    return text.replace("/", "").replace("\x00", "")


def _captures(place: Path) -> list[str]:
    return sorted(str(path) for path in place.glob("*.pcap"))


# ---- readers, one a format ----------------------------------------------------------------------


class _Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


#: What pages are made of; none of it comes from a name.
_ELEMENTS = set(
    "html head meta title style body script header main nav section article footer div span p h "
    "h1 h2 h3 ul ol li a strong code pre wbr button table thead tbody tr th td caption details "
    "summary figure figcaption label input output svg g path text defs use clippath rect pattern "
    "circle line polyline polygon tspan".split()
)


def read_html(text: str) -> None:
    page = _Page()
    page.feed(text)
    assert {tag for tag, _ in page.elements} <= _ELEMENTS
    attributes = [name for _, attrs in page.elements for name in attrs]
    assert not [name for name in attributes if name.startswith("on")]
    links = [attrs["href"] for _, attrs in page.elements if attrs.get("href")]
    assert not [link for link in links if not re.match(r"#|[\w./-]+$", link)]
    policy = next(
        attrs["content"]
        for tag, attrs in page.elements
        if tag == "meta" and attrs.get("http-equiv", "").lower() == "content-security-policy"
    )
    assert "script-src 'sha256-" in policy and "unsafe-inline" not in policy.partition("style")[0]
    read_text("".join(page.text))


def read_text(text: str) -> None:
    assert not CONTROLS.findall(text)


def read_markdown(text: str) -> None:
    read_text(text)
    outside = re.sub(r"(`+).*?\1", "", text)
    assert "<" not in outside.replace("<br>", "") and "](javascript" not in outside
    assert not [line for line in text.splitlines() if line.startswith(("::", "#!"))]
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table


def read_csv(text: str) -> None:
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) > 1 and len({len(row) for row in rows}) == 1
    read_text(text)
    for cell in (cell for row in rows for cell in row):
        if cell[:1] in ("=", "+", "-", "@", "\t", "\r"):
            float(cell)  # a number, or a spreadsheet takes it for a formula


def read_json(text: str) -> Any:
    read_text(text)
    return json.loads(text)


def read_json_lines(text: str) -> None:
    for line in text.splitlines():
        read_json(line)


def read_metrics(text: str) -> None:
    read_text(text)
    families = list(text_string_to_metric_families(text))
    assert families and all(f.name.startswith("pcapkit_") for f in families)


def read_xml(text: str) -> None:
    read_text(text)
    names = {element.tag for element in ElementTree.fromstring(text).iter()}
    assert names <= {"testsuites", "testsuite", "testcase", "failure", "properties", "property"}


def read_terminal(text: str) -> None:
    read_text(text)


READERS: dict[str, Callable[[str], object]] = {
    ".html": read_html,
    ".md": read_markdown,
    ".csv": read_csv,
    ".json": read_json,
    ".om": read_metrics,
    ".prom": read_metrics,
    ".openmetrics": read_metrics,
    ".txt": read_metrics,
    ".xml": read_xml,
}


def _read_all(folder: Path) -> set[str]:
    """Read every file below a folder by its format; return the formats."""
    kinds = set()
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        kinds.add(path.suffix)
        if "records" in path.parts:
            json.loads(path.read_bytes())  # which nobody is shown
        elif path.suffix == ".parquet":
            pyarrow.parquet.read_table(path)
        elif path.suffix in READERS:
            READERS[path.suffix](path.read_text(encoding="utf-8"))
    return kinds


# ---- exits --------------------------------------------------------------------------------------


def test_an_analysis(place: Path, tmp_path: Path) -> None:
    pods = str(place.parent / "pods.json")
    formats = "html,png,json,csv,parquet,md,openmetrics"
    for number, capture in enumerate(_captures(place)):
        out = tmp_path / f"out{number}"
        done = run(
            *("analyze", capture, "--pods", pods, "-o", str(out), "--format", formats, "-v"),
            *("--fail-on", "waste>1%", "--junit", str(out) + ".xml"),
            *("--step-summary", str(out) + ".md"),
        )
        assert done.returncode == 1, done.stderr
        read_terminal(done.stdout.decode())
        read_terminal(done.stderr.decode())
        read_xml(Path(f"{out}.xml").read_text())
        read_markdown(Path(f"{out}.md").read_text())
        assert {".html", ".json", ".csv", ".parquet", ".md", ".png"} <= _read_all(out)


def test_an_audit(place: Path, tmp_path: Path) -> None:
    pods = str(place.parent / "pods.json")
    for command in (("--format", "html,json,openmetrics"), ("--history", str(tmp_path / "h"))):
        out = tmp_path / "out"
        done = run(
            *("audit", str(place), "--pods", pods, "-o", str(out), *command, "-v"),
            *("--fail-on", "waste>1%", "--junit", str(tmp_path / "j.xml")),
            *("--step-summary", str(tmp_path / "s.md")),
        )
        assert done.returncode == 1, done.stderr
        read_terminal(done.stdout.decode())
        read_terminal(done.stderr.decode())
        read_xml((tmp_path / "j.xml").read_text())
        read_markdown((tmp_path / "s.md").read_text())
        assert {".html", ".json"} <= _read_all(out)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize(
    "table", ["messages", "transactions", "lookups", "clients", "workloads", "names", "what_if"]
)
def test_tables(place: Path, table: str, form: str) -> None:
    pods = str(place.parent / "pods.json")
    done = run("export", *_captures(place), "--pods", pods, "-t", table, "--format", form)
    assert done.returncode == 0, done.stderr
    (read_csv if form == "csv" else read_json_lines)(done.stdout.decode())
    read_terminal(done.stderr.decode())


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_a_query(place: Path, form: str) -> None:
    query = 'select base_name, 1 as "<b>\n" from names'
    done = run("sql", query, *_captures(place), "--format", form)
    assert done.returncode == 0, done.stderr
    if form != "csv":  # its head is the user's own
        (read_terminal if form == "table" else read_json_lines)(done.stdout.decode())


def test_comparisons(place: Path) -> None:
    captures = _captures(place)
    for more in ((), ("--json",)):
        done = run("compare", *captures, *more)
        assert done.returncode == 0, done.stderr
        (read_json if more else read_terminal)(done.stdout.decode())


def test_filters_commands_and_patches(place: Path) -> None:
    done = run("analyze", *_captures(place), "--pods", str(place.parent / "pods.json"), "--json")
    found = read_json(done.stdout.decode())
    seen = {"filter": 0, "patch": 0, "command": 0}

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                if isinstance(inner, str) and key == "display_filter":
                    seen["filter"] += 1
                    assert re.fullmatch(r"[a-z._]+ in \{[\d., ]+\}|[a-z._]+ == \d+", inner)
                elif isinstance(inner, str) and inner.startswith("spec:"):
                    seen["patch"] += 1
                    assert set(yaml.safe_load(inner)) <= {"spec", "metadata", "kind", "apiVersion"}
                elif isinstance(inner, str) and inner.startswith("kubectl "):
                    seen["command"] += 1
                    words = shlex.split(inner)
                    assert words[0] == "kubectl" and shlex.join(words) == inner
                else:
                    visit(inner)
        for inner in value if isinstance(value, list) else ():
            visit(inner)

    visit(found)
    assert seen["patch"]


@pytest.mark.parametrize("text", HOSTILE)
def test_words_of_the_command_line(text: str, tmp_path: Path) -> None:
    without_pictures = ("-o", str(tmp_path), "--format", "json")  # they take most of the time
    for words in (
        ("explain", text),
        ("expand", text),
        ("analyze", text),
        ("audit", text),
        ("sql", text, text),
        ("compare", text, text),
        ("analyze", *without_pictures, "--client", text, "captures/lab/fault_loss_queries.pcap"),
        (text,),
    ):
        done = run(words[0], *words[1:-1], "--", words[-1]) if len(words) > 1 else run(*words)
        read_terminal(done.stdout.decode())
        read_terminal(done.stderr.decode())
        assert b"Traceback" not in done.stderr


def test_links_in_the_output_folder_lead_nowhere(place: Path, tmp_path: Path) -> None:
    capture, out, outside = _captures(place)[0], tmp_path / "out", tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    run("analyze", capture, "-o", str(out), "--format", "html,json", "-q")
    (report,) = (path.parent for path in out.rglob("analysis.json"))
    for name in ("report.html", "analysis.json", "plan.png"):
        (report / name).unlink(missing_ok=True)
        (report / name).symlink_to(outside / "kept")
    assert run("analyze", capture, "-o", str(out), "-q").returncode == 0
    assert (outside / "kept").read_text() == "kept"
    for path in report.rglob("*"):
        path.unlink()
    report.rmdir()
    report.symlink_to(outside)
    done = run("analyze", capture, "-o", str(out), "-q")
    assert os.listdir(outside) == ["kept"], done.stderr


def test_labels_are_hostile_indeed(place: Path) -> None:
    raw = Path(_captures(place)[0]).read_bytes()
    assert all(_label(text).encode().lower() in raw.lower() for text in HOSTILE[:8])
    assert build.CLIENT == "10.244.1.17"
