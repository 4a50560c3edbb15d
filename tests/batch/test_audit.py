"""Audits of folders: the same bytes however they run, only what is new, nothing half-written."""

from __future__ import annotations

import fcntl
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import LAB, run

NAMES = (
    "busybox_nslookup.pcap",
    "dual_stack_v4_and_v6_servers.pcap",
    "fault_loss_queries.pcap",
    "fault_truncated_tcp.pcap",
    "whatif_w1_musl_ndots5.pcap",
    "wildcard_suffix.pcap",
)


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    """A folder of captures: some good ones, one of them in a folder of its own, and a bad one."""
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    for name in NAMES:
        shutil.copy(LAB / name, folder / name)
    shutil.copy(LAB / NAMES[0], folder / "deep" / NAMES[1])  # another one of that name
    (folder / "bad.pcap").write_bytes(b"nothing of that kind")
    return folder


def audit(folder: Path, output: Path, *more: str) -> subprocess.CompletedProcess[bytes]:
    return run("audit", str(folder), "-o", str(output), *more)


def command(folder: Path, output: Path, *more: str) -> list[str]:
    code = "from pcapkit.cli.main import main; main()"
    return [sys.executable, "-c", code, "audit", str(folder), "-o", str(output), *more]


def tree(output: Path) -> dict[str, bytes]:
    """Return all files below a folder, the hidden ones too."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def rows(output: Path) -> dict[str, dict[str, Any]]:
    found = json.loads((output / "audit.json").read_text())["captures"]
    return {Path(row["path"]).name: row for row in found}


def written(output: Path) -> dict[str, int]:
    """Return when each file of a report was written, by its path."""
    return {
        path.relative_to(output).as_posix(): path.stat().st_mtime_ns
        for path in output.rglob("*")
        if path.name in ("report.html", "analysis.json")
    }


def anew(before: dict[str, int], after: dict[str, int]) -> set[str]:
    """Return the folders in which something was written since."""
    return {Path(name).parts[0] for name, time in after.items() if before.get(name) != time}


def test_the_same_bytes_for_any_number_of_processes(captures: Path, tmp_path: Path) -> None:
    trees = []
    for workers in ("1", "2", "3"):
        done = audit(captures, tmp_path / "out", "--workers", workers)
        assert done.returncode == 3 and done.stdout.count(b"Not a capture: 1") == 1
        trees.append(tree(tmp_path / "out"))
        shutil.rmtree(tmp_path / "out")
    assert trees[0] == trees[1] == trees[2]
    reports = {name.split("/")[0] for name in trees[0] if name.endswith("report.html")}
    names = {name.removesuffix(".pcap") for name in NAMES}
    assert reports == names | {f"{NAMES[1].removesuffix('.pcap')}-2"}


def test_png_is_drawn_where_it_is_asked_for(captures: Path, tmp_path: Path) -> None:
    assert audit(captures, tmp_path / "out").returncode == 3
    assert not list((tmp_path / "out").rglob("*.png"))
    assert audit(captures, tmp_path / "out", "--format", "html,json,png").returncode == 3
    assert len(list((tmp_path / "out").rglob("*.png"))) > len(NAMES)


def test_only_what_is_new_is_done(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    before, files = written(out), tree(out)
    done = audit(captures, out)
    assert done.returncode == 3 and done.stdout.count(b"Not a capture: 1") == 1
    assert written(out) == before and tree(out) == files

    shutil.copy(LAB / "whatif_w1_glibc_ndots2.pcap", captures / "new.pcap")
    shutil.copy(LAB / "midchain_start_and_end.pcap", captures / NAMES[2])
    (captures / "bad.pcap").write_bytes((LAB / NAMES[0]).read_bytes())
    assert audit(captures, out).returncode == 0
    assert anew(before, written(out)) == {"new", NAMES[2].removesuffix(".pcap"), "bad"}
    audit(captures, tmp_path / "clean")
    assert rows(out) == rows(tmp_path / "clean")


def test_what_was_touched_or_copied_is_not_new(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    before = written(out)
    path = captures / NAMES[2]
    os.utime(path)
    copied = captures / NAMES[3]
    copied.write_bytes(copied.read_bytes())
    # As large as before, and something else.
    other = captures / NAMES[4]
    data = bytearray(other.read_bytes())
    data[-1] ^= 1
    other.write_bytes(data)
    audit(captures, out)
    assert anew(before, written(out)) == {NAMES[4].removesuffix(".pcap")}
    before = written(out)
    audit(captures, out)
    assert written(out) == before


@pytest.mark.parametrize("name", ["report.html", "analysis.json"])
def test_a_report_that_was_removed_is_made_again(captures: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    before, files = written(out), tree(out)
    (out / "busybox_nslookup" / name).unlink()
    audit(captures, out)
    assert anew(before, written(out)) == {"busybox_nslookup"}
    assert tree(out) == files


def test_other_options_make_other_results(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    before, files = written(out), tree(out)
    audit(captures, out, "--ndots", "4")
    assert len(anew(before, written(out))) == len(NAMES) + 1
    # What an earlier run has made of other options is no longer there, and is made again.
    audit(captures, out)
    assert tree(out) == files


def test_a_changed_file_of_options_makes_other_results(captures: Path, tmp_path: Path) -> None:
    out, conf = tmp_path / "out", tmp_path / "resolv.conf"
    conf.write_text("search default.svc.cluster.local\nnameserver 10.96.0.10\n")
    audit(captures, out, "--resolv-conf", str(conf))
    before = written(out)
    audit(captures, out, "--resolv-conf", str(conf))
    assert written(out) == before
    conf.write_text("search default.svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:2\n")
    audit(captures, out, "--resolv-conf", str(conf))
    assert len(anew(before, written(out))) == len(NAMES) + 1


def test_fewer_formats_leave_fewer_files(captures: Path, tmp_path: Path) -> None:
    audit(captures, tmp_path / "out", "--format", "html,json,md")
    audit(captures, tmp_path / "out", "--format", "json")
    audit(captures, tmp_path / "clean", "--format", "json")
    assert tree(tmp_path / "out") == tree(tmp_path / "clean")


def test_another_version_does_all_again(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    before = written(out)
    code = "import pcapkit.version as v; v.__version__ = '99'; from pcapkit.cli.main import main;"
    again = command(captures, out)
    subprocess.run([*again[:2], f"{code} main()", *again[3:]], capture_output=True, check=False)
    assert len(anew(before, written(out))) == len(NAMES) + 1


def test_what_vanished_stays_and_is_marked(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    gone = captures / "wildcard_suffix.pcap"
    gone.unlink()
    audit(captures, out)
    found = rows(out)
    assert {name for name, row in found.items() if row["gone"]} == {gone.name}
    assert (out / found[gone.name]["report"]).is_file() and found[gone.name]["queries"]
    # A capture that comes back is no news.
    shutil.copy(LAB / gone.name, gone)
    before = written(out)
    audit(captures, out)
    assert not any(row["gone"] for row in rows(out).values())
    assert anew(before, written(out)) <= {"wildcard_suffix"}

    gone.unlink()
    audit(captures, out, "--prune")
    assert not (out / "wildcard_suffix").exists()
    assert gone.name not in rows(out)
    audit(captures, tmp_path / "clean")
    clean = tree(tmp_path / "clean")
    # What was seen of other files, too, is remembered.
    assert tree(out) | {"looks.json": b""} == clean | {"looks.json": b""}


def test_prune_removes_what_is_of_nothing_that_is_there(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    for name in ("tallies/0123.tally", f"records/{'0' * 32}.json"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(b"of another version")
    (out / "mine.txt").write_text("something else")
    assert audit(captures, out, "--prune").returncode == 3
    assert not list(out.glob("tallies/*")) and (out / "mine.txt").exists()
    before = written(out)
    done = audit(captures, out)
    assert b"made again" not in done.stderr and written(out) == before


def test_captures_that_were_not_asked_for_are_neither_gone_nor_lost(
    captures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    before = written(out)
    audit(captures / "deep", out)
    assert list(rows(out)) == [NAMES[1]]
    audit(captures, out)
    assert written(out) == before and len(rows(out)) == len(NAMES) + 1


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-9], lambda data: b"{}"])
def test_a_torn_record_is_said_and_made_again(
    captures: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    out = tmp_path / "out"
    audit(captures, out)
    before, files = written(out), tree(out)
    torn = next(p for p in (out / "records").iterdir() if b"wildcard_suffix" in p.read_bytes())
    torn.write_bytes(damage(torn.read_bytes()))
    done = audit(captures, out)
    assert torn.name.encode() in done.stderr
    assert anew(before, written(out)) == {"wildcard_suffix"}
    assert tree(out) == files


def test_one_audit_at_a_time(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with open(out / "audit.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = audit(captures, out)
    assert done.returncode == 2 and b"another audit" in done.stderr
    assert list(tree(out)) == ["audit.lock"]
    assert audit(captures, out).returncode == 3


def _started(arguments: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def _until(wanted: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until something is the case, or the process has ended."""
    while process.poll() is None and not wanted():
        time.sleep(0.001)


def _processes_of(output: Path) -> list[str]:
    """Return the processes that were told to write to a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(output) in words:
            found.append(path.parent.name)
    return found


def _kills() -> Iterator[tuple[int, float]]:
    """Give moments: how many records there are, and how long after that."""
    chance = random.Random(19)
    for _ in range(8):
        yield chance.randrange(len(NAMES)), chance.random() * 0.05


def test_a_killed_audit_goes_on_where_it_was(captures: Path, tmp_path: Path) -> None:
    formats = ("--format", "html,json,csv")
    audit(captures, tmp_path / "clean", *formats)
    clean = tree(tmp_path / "clean")
    for trial, (records, pause) in enumerate(_kills()):
        out = tmp_path / f"out{trial}"

        def kept(out: Path = out, records: int = records) -> bool:
            return len(list(out.glob("records/*.json"))) >= records + 1

        process = _started(command(captures, out, *formats))
        try:
            _until(kept, process)
            time.sleep(pause)
        finally:
            process.kill()
            process.communicate()
        while _processes_of(out):
            time.sleep(0.01)
        # Whatever is there is whole.
        for name, data in tree(out).items():
            is_hidden = any(part.startswith(".") for part in Path(name).parts)
            if not is_hidden and name not in ("audit.lock", "looks.json"):
                assert clean[name] == data, name
        before = written(out)
        done = audit(captures, out, *formats)
        assert done.returncode == 3 and b"made again" not in done.stderr
        assert tree(out) == clean
        assert {name for name, time in written(out).items() if before.get(name) == time}


def test_an_interrupted_audit_leaves_nothing(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = _started(command(captures, out, "--format", "html,json,csv"))
    try:
        _until(lambda: len(list(out.glob("records/*.json"))) > 1, process)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    if process.returncode == 3:
        pytest.skip("it was done before it could be interrupted")
    assert process.returncode == 130 and said.splitlines()[-1] == b"interrupted"
    assert not _processes_of(out)
    assert not [path for path in out.rglob("*") if path.name.startswith(".")]
    assert not (out / "index.html").exists()
    assert audit(captures, out).returncode == 3


def test_a_disk_that_is_full_leaves_no_part_of_a_report(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    smallest = {"html": 0, "json": 0}
    audit(captures, tmp_path / "clean")
    for name, data in tree(tmp_path / "clean").items():
        form = name.rpartition(".")[2]
        if name.endswith(("report.html", "analysis.json")):
            smallest[form] = min(smallest[form] or len(data), len(data))
    limit = (smallest["html"] + smallest["json"]) // 2  # a page has no place, its data may
    assert smallest["json"] < limit < smallest["html"]
    done = subprocess.run(
        command(captures, out),
        capture_output=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.returncode == 2
    assert b"cannot be written" in done.stderr and b"Traceback" not in done.stderr
    assert {name.split("/")[0] for name in tree(out)} <= {"audit.lock", "looks.json", "records"}
    assert audit(captures, out).returncode == 3
    assert tree(out) == tree(tmp_path / "clean")


HOSTILE = (
    b"new\nline.pcap",
    b"-..pcap",
    b"records.pcap",
    b"RECORDS.pcap",
    b"index.html.pcap",
    b"audit.lock",
    b"<img src=x onerror=alert(1)>.pcap",
    "\N{CJK UNIFIED IDEOGRAPH-6F22}".encode() * 83 + b".pcap",
    b"x" * 250 + b".pcap",
    b"caf\xe9.pcap",
    b"-o.pcap",
)


def test_reports_stay_inside_whatever_captures_are_called(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in HOSTILE:
        shutil.copy(LAB / NAMES[0], os.fsencode(folder) + b"/" + name)
    for _ in range(2):
        done = audit(folder, out)
        assert done.returncode == 0, done.stderr
        found = json.loads((out / "audit.json").read_text())["captures"]
        assert len(found) == len(HOSTILE)
        reports = [out / row["report"] for row in found]
        assert len(set(reports)) == len(HOSTILE)
        for report in reports:
            assert report.resolve().parent.parent == out.resolve()
            assert report.name == "report.html" and report.is_file()
        assert (out / "index.html").is_file() and not (out / "records" / "report.html").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]


def test_the_output_may_lie_inside_the_input(captures: Path) -> None:
    out = captures / "out"
    assert audit(captures, out).returncode == 3
    files = tree(out)
    done = audit(captures, out)
    assert done.returncode == 3 and tree(out) == files


DEADLY = """
import os, signal
from pathlib import Path
import pcapkit.batch.work as work
from pcapkit.files import whole_file
usual = work.analysis_of
def deadly(task):
    if "wildcard" in task.paths[0]:
        with whole_file(Path(task.output, task.folder, "analysis.json")):
            os.kill(os.getpid(), signal.SIGKILL)
    return usual(task)
work.analysis_of = deadly
from pcapkit.cli.main import main
main()
"""


def test_a_capture_whose_process_dies_while_it_writes_is_read_alone(
    captures: Path, tmp_path: Path
) -> None:
    audit(captures, tmp_path / "clean")
    arguments = command(captures, tmp_path / "out")
    done = subprocess.run(
        [*arguments[:2], DEADLY, *arguments[3:]], capture_output=True, check=False
    )
    assert done.returncode == 3 and done.stdout.count(b"Not a capture: 1") == 1
    assert tree(tmp_path / "out") == tree(tmp_path / "clean")


def test_a_capture_that_was_renamed_counts_once(captures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    audit(captures, out, "--format", "json")
    before = json.loads((out / "audit.json").read_text())["captures"]
    os.rename(captures / NAMES[2], captures / "renamed.pcap")
    audit(captures, out, "--format", "json")
    after = json.loads((out / "audit.json").read_text())["captures"]
    assert len(after) == len(before)
    assert sum(row["queries"] for row in after) == sum(row["queries"] for row in before)


def test_what_cannot_be_watched_is_refused_at_once(tmp_path: Path) -> None:
    done = audit(tmp_path / "nothing", tmp_path / "out", "--watch")
    assert done.returncode == 2 and b"there is nothing to watch" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is full")
def test_a_full_standard_output_is_no_fault_of_ours(captures: Path, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            command(captures, tmp_path / "out", "--format", "json"),
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 2
    assert b"the output cannot be written: No space left" in done.stderr
    assert b"fault of pcapkit" not in done.stderr


@pytest.fixture
def warned(tmp_path: Path) -> Path:
    """A folder of captures with warnings: three of one kind, and one whose text is an attack."""
    folder = tmp_path / "warned"
    folder.mkdir()
    whole = (LAB / NAMES[0]).read_bytes()
    for cut in (1, 2, 3):
        (folder / f"cut{cut}.pcap").write_bytes(whole[:-cut])
    shutil.copy(LAB / NAMES[0], folder / "whole.pcap")
    header = (0xA1B2C3D4).to_bytes(4, "little") + b"\2\0\4\0" + bytes(8) + b"\xff\xff\0\0\1\0\0\0"
    (folder / "idle\x1b[31m\n<b>.pcap").write_bytes(header)
    return folder


def test_warnings_are_grouped_in_all_forms(warned: Path, tmp_path: Path) -> None:
    done = audit(warned, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    part = said[said.index("Warnings: ") :].splitlines()
    assert part[0] == "Warnings: 4 captures"
    assert part[1].startswith("  - 3 captures: the last record is cut, … bytes of it are there")
    assert any(line.startswith("    such as ") and line.endswith("/cut1.pcap") for line in part)
    assert sum(line.startswith("  - ") for line in part) == 2
    assert "\x1b" not in said and max(map(len, said.splitlines())) <= 80
    assert "4 captures have warnings." in " ".join(said.split())
    saved = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert [len(of["paths"]) for of in saved["warnings"]] == [3, 1]
    assert [Path(path).name for path in saved["warnings"][0]["paths"]] == [
        f"cut{cut}.pcap" for cut in (1, 2, 3)
    ]
    for row in saved["captures"]:
        assert sum(of["count"] for of in row["warned"]) == row["warnings"]
    page = (tmp_path / "out" / "index.html").read_text()
    assert 'id="warnings-rows"' in page and "bytes of it are there" in page
    assert "<b>.pcap" not in page
    # a second run has them of its records
    again = audit(warned, tmp_path / "out")
    assert again.stdout == done.stdout


def test_verbose_prints_all_warnings_and_where(warned: Path, tmp_path: Path) -> None:
    said = "".join(audit(warned, tmp_path / "out", "-v").stdout.decode().split())
    for cut in (1, 2, 3):
        assert f"/cut{cut}.pcap:thelastrecordiscut," in said
    assert said.count("bytesofitarethere;analyseduptothere(") == 4


@pytest.mark.parametrize(
    ("more", "stream"), [((), "stdout"), (("-q",), "stderr"), (("--json",), "stderr")]
)
def test_a_failure_is_said_once(
    captures: Path, tmp_path: Path, more: tuple[str, ...], stream: str
) -> None:
    done = audit(captures, tmp_path / "out", *more)
    assert done.returncode == 3
    printed = {"stdout": done.stdout, "stderr": done.stderr}
    reason = b"not a capture: "
    said = {name: b" ".join(text.split()).count(reason) for name, text in printed.items()}
    if more == ("--json",):
        assert json.loads(printed.pop("stdout"))["failures"]
        del said["stdout"]
    assert said == {name: int(name == stream) for name in said}
