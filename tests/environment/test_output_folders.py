"""What stands in an output folder before and after a run that ends well, or does not."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pcapkit.report.folder as folders
from pcapkit.files import sweep, whole_file
from pcapkit.model.vocabulary import CHART_NAMES
from pcapkit.report.html.charts import CHARTS
from pcapkit.report.writer import is_of_report
from tests.cli.test_cli import GLIBC, LAB, run
from tests.environment.kills import manifest, tree

NAMES = ("--plan", "names", "--include-review")
OTHER = str(LAB / "whatif_w1_glibc_ndots2.pcap")


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return Path(shutil.copy(GLIBC, tmp_path / "dns.pcap"))


def analyzed(capture: Path, output: Path, formats: str) -> None:
    done = run("analyze", str(capture), "-o", str(output), "-q", "--format", formats)
    assert done.returncode == 0, done.stderr


def put_users_files(report: Path) -> None:
    (report / "notes.txt").write_text("mine")
    (report / "names.txt").symlink_to("/nowhere")
    (report / "mine" / "deep").mkdir(parents=True)
    (report / "mine" / "deep" / "more.txt").write_text("mine, too")
    (report / "mine").chmod(0o750)
    report.chmod(0o711)


def check_users_files(report: Path) -> None:
    assert (report / "notes.txt").read_text() == "mine"
    assert os.readlink(report / "names.txt") == "/nowhere"
    assert (report / "mine" / "deep" / "more.txt").read_text() == "mine, too"
    assert [p.stat().st_mode & 0o777 for p in (report / "mine", report)] == [0o750, 0o711]


def test_charts_have_the_names_that_reports_know() -> None:
    assert tuple(name for name, _ in CHARTS) == CHART_NAMES


@pytest.mark.parametrize("exchanges", [True, False])
def test_files_of_the_user_stay_in_a_report_that_is_made_again(
    capture: Path, tmp_path: Path, exchanges: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a file system exchanges no names."""
    report = tmp_path / "out" / "dns"
    analyzed(capture, report.parent, "json,md")
    put_users_files(report)
    before = tree(report)
    assert not is_of_report("notes.txt")
    if not exchanges:
        monkeypatch.setattr(folders, "_exchanged", lambda one, other: False)
    with folders.whole_folder(report, is_of_report, lambda name: True) as begin:
        begin("report.md").write(b"new")
    check_users_files(report)
    assert tree(report) == before | {"report.md": b"new"}
    assert os.listdir(report.parent) == ["dns"]
    with (
        pytest.raises(ZeroDivisionError),
        folders.whole_folder(report, is_of_report, lambda name: True) as begin,
    ):
        begin("report.md").write(b"newer")
        raise ZeroDivisionError
    check_users_files(report)
    assert tree(report) == before | {"report.md": b"new"}
    assert os.listdir(report.parent) == ["dns"]


def test_a_report_of_other_packets_keeps_no_file_of_the_one_before(
    capture: Path, tmp_path: Path
) -> None:
    """A chart, a table or a page that nobody asked for this time would tell of the old packets."""
    report = tmp_path / "out" / "dns"
    analyzed(capture, report.parent, "html,png,json,csv")
    put_users_files(report)
    analyzed(capture, report.parent, "md")  # of the same ones all stays
    assert {"report.html", "plan.png", "analysis.json", "names.csv", "report.md"} <= set(
        os.listdir(report)
    )
    shutil.copy(OTHER, capture)
    analyzed(capture, report.parent, "json")
    assert sorted(os.listdir(report)) == ["analysis.json", "mine", "names.txt", "notes.txt"]
    check_users_files(report)


def test_a_link_in_the_place_of_a_report_is_replaced(capture: Path, tmp_path: Path) -> None:
    """Nothing is written outside of the output folder."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dns").symlink_to(tmp_path / "elsewhere")
    analyzed(capture, tmp_path / "out", "json")
    assert not (tmp_path / "out" / "dns").is_symlink() and not os.listdir(tmp_path / "elsewhere")
    assert os.listdir(tmp_path / "out" / "dns") == ["analysis.json"]


def allow_small_files() -> None:
    """As on a disk that fills while something is written: nothing past 4,096 bytes is taken."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "dns.pcap", "-o", "out"),
        ("analyze", "dns.pcap", "-o", "out", "--format", "parquet,csv"),
        ("audit", "dns.pcap", "-o", "out", "--format", "html,json"),
        ("tally", "dns.pcap", "-o", "out/dns.tally"),
        ("tally", "dns.pcap", "-o", "out"),
        ("merge", "dns.tally", "-o", "out"),
        ("merge", "dns.tally", "--join", "out/joined.tally"),
        ("export", "dns.pcap", "-t", "lookups", "-o", "out/lookups.jsonl"),
        ("export", "dns.pcap", "-t", "lookups", "-o", "out/new/lookups.jsonl"),
        ("share", "dns.pcap", "-o", "out/shared.pcap", "--key", "key"),
        ("fix", "dns.pcap", "--manifests", "out/manifests", "--write", *NAMES),
    ],
    ids=lambda arguments: " ".join(arguments[:1] + arguments[3:]),
)
def test_a_disk_that_fills_leaves_all_as_it_was(
    capture: Path, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    shutil.copy(OTHER, capture)
    out = tmp_path / "out"
    manifests = out / "manifests"
    manifests.mkdir(parents=True)
    (manifests / "web.yaml").write_text("# " + 5000 * "." + "\n" + manifest())
    for made in (("tally", "dns.pcap", "-o", "dns.tally"), arguments):
        if made[0] != "fix":
            run_in(tmp_path, made)
    shutil.copy(GLIBC, capture)
    run_in(tmp_path, ("tally", "dns.pcap", "-o", "dns.tally"))
    before = tree(out)
    done = run_in(tmp_path, arguments, limited=True)
    said = done.stderr.decode().splitlines()
    assert done.returncode == 2, done.stderr
    assert "cannot be written: File too large" in said[-1], said
    after = tree(out)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    if arguments[0] == "audit":  # what it no longer knows it makes again
        changed = {name for name in changed if not name.startswith("records/")}
    assert not changed
    assert not list(out.rglob(".*"))


def run_in(
    folder: Path, arguments: tuple[str, ...], *, limited: bool = False
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        [sys.executable, "-c", "from pcapkit.cli.main import main; main()", *arguments],
        cwd=folder,
        capture_output=True,
        check=False,
        preexec_fn=allow_small_files if limited else None,
    )
    assert limited or done.returncode == 0, done.stderr
    return done


def test_an_audit_whose_folder_is_removed_says_so(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from pcapkit.cli.main import main; main()"),
            *("audit", str(LAB), "-o", str(out), "-q", "--format", "json"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and len(list(out.glob("records/*.json"))) < 2:
        time.sleep(0.001)
    while out.exists():
        shutil.rmtree(out, ignore_errors=True)
    said = process.communicate(timeout=120)[1].decode()
    assert process.returncode == 2
    assert f"error: {out}: was removed while the audit wrote there" in said
    assert not (out / "index.html").exists()
    assert run("audit", str(LAB), "-o", str(out), "-q", "--format", "json").returncode in (0, 3)
    rows = json.loads((out / "audit.json").read_text())["captures"]
    assert all((out / row["report"]).exists() for row in rows if row["report"])


def test_what_a_dead_run_left_is_swept_and_what_a_live_one_writes_is_not(
    capture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / ".gone.1.pcapkit").mkdir(parents=True)
    (out / ".gone.1.pcapkit" / "analysis.json").write_text("half")
    (out / ".dns.3.pcapkit").mkdir()
    (out / ".dns.2.before.pcapkit").mkdir()  # aside for another one, and never put back
    (out / ".dns.2.before.pcapkit" / "notes.txt").write_text("mine")
    (out / ".live.1.pcapkit").mkdir()
    (out / ".foreign").write_text("not ours")
    handle = os.open(out / ".live.1.pcapkit", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        analyzed(capture, out, "json")
    finally:
        os.close(handle)
    assert sorted(os.listdir(out)) == [".foreign", ".live.1.pcapkit", "dns"]
    assert sorted(os.listdir(out / "dns")) == ["analysis.json", "notes.txt"]
    sweep(out, is_of_report)
    assert sorted(os.listdir(out)) == [".foreign", "dns"]


def test_two_that_write_one_file_do_not_hinder_each_other(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    with whole_file(path) as one:
        one.write(b"one")
        with whole_file(path) as other:
            other.write(b"other")
        assert path.read_bytes() == b"other"
    assert path.read_bytes() == b"one" and os.listdir(tmp_path) == ["names.csv"]
    (tmp_path / ".names.csv.1.pcapkit").write_text("left by a dead run")
    with whole_file(path, 0o600) as one:
        one.write(b"new")
    assert os.listdir(tmp_path) == ["names.csv"] and path.stat().st_mode & 0o777 == 0o600
