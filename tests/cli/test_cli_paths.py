"""Files whose names are no text: they are read, and told of in every form that a report has."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.cli.test_cli import GLIBC, run

ALL = ("--format", "html,png,json,csv,parquet,md")
SHOWN = "caf\\xe9"


@pytest.fixture
def odd(tmp_path: Path) -> str:
    """A folder whose name is no text, with a capture, and something else, of such names."""
    folder = os.fsdecode(os.fsencode(tmp_path) + b"/in\xff")
    os.mkdir(folder)
    shutil.copy(GLIBC, os.path.join(folder, os.fsdecode(b"caf\xe9.pcap")))
    with open(os.path.join(folder, os.fsdecode(b"bad\xe9.pcap")), "wb") as file:
        file.write(b"no capture at all, whatever it is called")
    return folder


def test_an_audit_has_its_index(odd: str, tmp_path: Path) -> None:
    for _ in range(2):  # the second time, every report takes the place of its own earlier one
        done = run("audit", odd, "-o", str(tmp_path / "out"), *ALL)
        assert done.returncode == 3, done.stderr
        record = json.loads((tmp_path / "out" / "audit.json").read_text("utf-8"))
        json.dumps(record, ensure_ascii=False).encode()
        good, bad = record["captures"]
        assert good["path"].endswith(f"{SHOWN}.pcap") and "in\\xff" in good["path"]
        assert "bad\\xe9.pcap" in bad["error"] and b"bad\\xe9.pcap" in b"".join(done.stdout.split())
        page = (tmp_path / "out" / "index.html").read_text("utf-8")
        assert f"{SHOWN}.pcap" in page and "bad\\xe9.pcap" in page
        assert (tmp_path / "out" / good["report"]).is_file()
        folders = {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()}
        assert folders == {Path(good["report"]).parts[0], "records"}


def test_analyze_and_compare_speak_of_it(odd: str, tmp_path: Path) -> None:
    path = os.path.join(odd, os.fsdecode(b"caf\xe9.pcap"))
    for _ in range(2):
        done = run("analyze", path, "-o", str(tmp_path / "out"), *ALL)
        assert done.returncode == 0, done.stderr
        (folder,) = (tmp_path / "out").iterdir()
    for name in ("report.html", "report.md", "analysis.json"):
        assert (folder / name).read_text("utf-8")
    assert SHOWN in (folder / "report.html").read_text("utf-8")
    done = run("analyze", "--json", path, path)
    assert json.loads(done.stdout)["captures"][0]["path"].endswith(f"{SHOWN}.pcap")
    assert SHOWN.encode() in done.stderr  # named more than once
    done = run("compare", "--json", path, str(folder / "analysis.json"))
    assert json.loads(done.stdout)["before"].endswith(f"{SHOWN}.pcap")


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_tables_name_it(odd: str, form: str) -> None:
    path = os.path.join(odd, os.fsdecode(b"caf\xe9.pcap"))
    done = run("export", path, "-t", "messages", "--format", form)
    assert done.returncode == 0, done.stderr
    shown = SHOWN.replace("\\", "\\\\") if form == "jsonl" else SHOWN
    assert shown.encode() in done.stdout


@pytest.mark.parametrize("option", ["--resolv-conf", "--pods", "--corefile"])
def test_so_are_the_files_of_options(odd: str, option: str, tmp_path: Path) -> None:
    texts = {
        "--resolv-conf": "search a.example\nnameserver 10.96.0.10\noptions ndots:5\n",
        "--pods": '{"kind": "List", "items": []}',
        "--corefile": ".:53 {\n kubernetes cluster.local\n}\n",
    }
    given = os.path.join(odd, os.fsdecode(b"given\xfe"))
    Path(given).write_text(texts[option])
    done = run("analyze", str(GLIBC), option, given, "-o", str(tmp_path / "out"), *ALL)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "out").iterdir()
    assert "given\\xfe" in json.dumps(json.loads((folder / "analysis.json").read_text())).replace(
        "\\\\", "\\"
    )
    Path(given).write_bytes(b"\xff\xfe")
    done = run("analyze", str(GLIBC), option, given, "-o", str(tmp_path / "out"))
    assert done.returncode == 2 and b"given\\xfe: byte 0 is no text" in done.stderr


def test_what_cannot_be_opened_is_named(odd: str) -> None:
    for name in (b"none\xe9", b"none\xe9*"):
        done = run("analyze", os.path.join(odd, os.fsdecode(name)))
        assert done.returncode == 2 and b"none\\xe9" in done.stderr
    done = run("analyze", str(GLIBC), "-o", os.path.join(odd, os.fsdecode(b"caf\xe9.pcap")))
    assert done.returncode == 2 and SHOWN.encode() in done.stderr
