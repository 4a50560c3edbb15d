"""Inputs that fail or change while they are read; machines that have too little of something."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

import pytest

from tests.cli.test_cli import GLIBC, run
from tests.environment.kills import manifest

OTHER = Path(GLIBC).with_name("whatif_w1_glibc_ndots2.pcap")
COMMAND = [sys.executable, "-c", "from pcapkit.cli.main import main; main()"]


def long_capture(path: Path, copies: int) -> Path:
    """Write a capture with the packets of another one, many times over."""
    data = Path(GLIBC).read_bytes()
    with path.open("wb") as out:
        out.write(data[:24])
        for _ in range(copies):
            out.write(data[24:])
    return path


# ---- inputs -----------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="there is no /proc")
def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """Its first page is mapped by nobody: the system says what a broken disk says."""
    said = "/proc/self/mem: cannot be opened: Input/output error"
    done = run("analyze", "/proc/self/mem", "-o", str(tmp_path / "one"))
    assert done.returncode == 2 and done.stderr.decode() == f"error: {said}\n"
    done = run("audit", "/proc/self/mem", GLIBC, "-o", str(tmp_path / "two"), "-q")
    assert done.returncode == 3 and f"failed: {said}" in done.stderr.decode()
    assert not (tmp_path / "one").exists()


def test_an_error_in_the_middle_leaves_what_came_before(tmp_path: Path) -> None:
    """A terminal whose other side has gone gives what it holds, then EIO."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)

    def write() -> None:
        rest = memoryview(Path(GLIBC).read_bytes()[:40_000])
        while rest:
            rest = rest[os.write(theirs, rest[:1024]) :]
        os.close(theirs)

    writer = threading.Thread(target=write)
    writer.start()
    done = subprocess.run(
        [*COMMAND, "analyze", "-", "--json"], stdin=ours, capture_output=True, check=False
    )
    writer.join()
    os.close(ours)
    assert done.returncode == 0
    assert b"stdin: cannot be read on: Input/output error; analysed up to there" in done.stderr
    assert 0 < json.loads(done.stdout)["packets"]["total"] < 600


@pytest.mark.parametrize("after", ["cut", "written over", "replaced", "grown"])
def test_a_capture_that_changes_while_it_is_read_ends_no_process(
    tmp_path: Path, after: str
) -> None:
    """No input is mapped into memory, where a file that is cut would be a SIGBUS."""
    capture = long_capture(tmp_path / "dns.pcap", 300)
    process = subprocess.Popen(
        [*COMMAND, "analyze", str(capture), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None and not _has_open(process.pid, capture):
        time.sleep(0.0005)
    if after == "cut":
        os.truncate(capture, 5000)
    elif after == "written over":
        with capture.open("r+b") as ring:
            ring.truncate(0)
            ring.write(OTHER.read_bytes())
    elif after == "replaced":
        os.replace(shutil.copy(OTHER, tmp_path / "new"), capture)
    else:
        with capture.open("ab") as more:
            more.write(Path(GLIBC).read_bytes()[24:])
    printed, said = process.communicate(timeout=120)
    text = said.decode()
    if after in ("cut", "written over"):
        assert process.returncode in (0, 2)  # 0 where it is opened once more, to be read, by then
        assert process.returncode == 0 or "was written over while it was read" in text
    else:
        assert process.returncode == 0, text
        assert after == "grown" or "still being written" not in text
    assert "Traceback" not in text and "fault of pcapkit" not in text


def _has_open(pid: int, path: Path) -> bool:
    try:
        held = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return str(path) in held


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "pipe", "--json", "summary"),
        ("export", "pipe", "-t", "names"),
        ("tally", "pipe", "-o", "dns.tally"),
        ("share", "pipe", "-o", "shared.pcap", "--key", "key"),
        ("fix", "pipe", "--manifests", "manifests"),
        ("compare", "pipe", GLIBC),
        ("compare", GLIBC, "pipe"),
    ],
    ids=" ".join,
)
def test_a_named_pipe_is_read_once(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "web.yaml").write_text(manifest())
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(["sh", "-c", f"cat {GLIBC} > pipe"], cwd=tmp_path)
    try:
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert writer.wait(10) == 0
    finally:
        writer.kill()
        writer.wait()


def test_an_audit_reads_no_pipe_and_no_device(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "pipe.pcap")
    shutil.copy(GLIBC, folder / "dns.pcap")
    for named, failures in ([str(folder)], 0), ([f"{folder}/pipe.pcap", "/dev/zero"], 2):
        done = run(
            "audit", *named, "-o", str(tmp_path / f"out{failures}"), "-q", "--format", "json"
        )
        assert done.returncode == (3 if failures else 0), done.stderr
        assert done.stderr.count(b"is a pipe or a device") == failures


def test_a_clock_that_goes_back_hides_no_change(tmp_path: Path) -> None:
    """The clock of the machine is read nowhere; times of files are compared for being the same."""
    capture = Path(shutil.copy(GLIBC, tmp_path / "dns.pcap"))
    out = tmp_path / "out"
    shares = []
    for data, clock in ((Path(GLIBC).read_bytes(), 2e9), (OTHER.read_bytes(), 1e9)):
        size = max(len(data), Path(GLIBC).stat().st_size)
        capture.write_bytes(data.ljust(size, b"\0"))
        os.utime(capture, (clock, clock))
        assert run("audit", str(capture), "-o", str(out), "-q", "--format", "json").returncode == 0
        [row] = json.loads((out / "audit.json").read_text())["captures"]
        shares.append(row["wasted_queries"])
    assert shares[0] != shares[1]


# ---- the machine ------------------------------------------------------------------------------


def limited(
    number: int, most: int, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    def limit() -> None:
        resource.setrlimit(number, (most, most))

    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        preexec_fn=limit,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("most", [5, 6, 7, 8, 10, 12, 64])
@pytest.mark.parametrize("command", ["analyze", "audit", "tally"])
def test_few_files_may_be_open(tmp_path: Path, command: str, most: int) -> None:
    out = tmp_path / "out"
    done = limited(resource.RLIMIT_NOFILE, most, command, GLIBC, "-o", str(out))
    last = done.stderr.decode().splitlines()[-1:]
    assert done.returncode in (0, 2, 3), done.stderr
    if done.returncode == 2:
        assert last[0].startswith("error: ") and "oo many open files" in last[0], last
    if most == 64:
        assert done.returncode == 0, last
    assert not list(out.rglob(".*"))
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("mib", [60, 120, 180, 250, 350, 450])
def test_little_memory_may_be_mapped(tmp_path: Path, mib: int) -> None:
    """What cannot even be loaded is no fault of ours, and no gate that was crossed."""
    done = limited(resource.RLIMIT_AS, mib << 20, "analyze", GLIBC, "-o", str(tmp_path / "out"))
    assert done.returncode in (0, 2), (done.returncode, done.stderr)
    if done.returncode == 2:
        last = done.stderr.decode().splitlines()[-1]
        assert last == f"error: there is not enough memory: {mib} MiB are allowed ('ulimit -v')"
        assert not (tmp_path / "out").exists()


def test_a_home_and_a_package_that_cannot_be_written_leave_no_trace(tmp_path: Path) -> None:
    """Charts need a folder for their list of fonts; matplotlib would make a new one each time."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    nowhere = {
        "HOME": "/proc/none",
        "XDG_CACHE_HOME": "/proc/none",
        "XDG_CONFIG_HOME": "/proc/none",
    }
    nowhere |= {"TMPDIR": str(temporary), "MPLCONFIGDIR": ""}
    environment = {k: v for k, v in (os.environ | nowhere).items() if k != "MPLCONFIGDIR"}
    for command in (["analyze", GLIBC, "-o", "one"], ["audit", GLIBC, "-o", "two"]):
        done = subprocess.run(
            [*COMMAND, *command], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert b"atplotlib" not in done.stderr
        assert not os.listdir(temporary)


def test_a_folder_for_temporary_files_that_is_full_is_named(tmp_path: Path) -> None:
    capture = long_capture(tmp_path / "dns.pcap", 450)
    small = tmp_path / "small"
    small.mkdir()
    out = tmp_path / "out"
    script = f'mount -t tmpfs -o size=1m none {small} && exec "$@"'
    inside = ["unshare", "-m", *(["-r"] if os.geteuid() else []), "sh", "-c"]
    try:
        able = subprocess.run(
            [*inside, script, "sh", "true"], capture_output=True, check=False
        ).returncode
    except FileNotFoundError:
        able = 1
    if able:
        pytest.skip("no file system can be mounted here")
    done = subprocess.run(
        [
            *(*inside, script, "sh", *COMMAND, "export", str(capture), "-t", "messages"),
            *("-o", str(out)),
        ],
        env=os.environ | {"TMPDIR": str(small)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.decode() == (
        f"error: {small}: no temporary file can be written there: No space left on device (the "
        "variable TMPDIR names another folder)\n"
    )
    assert not out.exists()


def test_a_folder_for_temporary_files_that_is_not_there_is_needed_by_few(tmp_path: Path) -> None:
    done = run("analyze", GLIBC, "-o", str(tmp_path), "-q", TMPDIR="/proc/none")
    assert done.returncode == 0, done.stderr
