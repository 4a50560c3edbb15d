"""Every command, with a standard output that nobody reads, that is full, or that is closed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pcapkit.cli.root import COMMANDS
from tests.capturing.test_capture import Cluster
from tests.cli.test_cli import GLIBC, run
from tests.environment.kills import manifest

#: Arguments that make each command print, in a folder with a tally, manifests, and a capture's
#: key; more than once where it prints in several ways.
PRINTING: tuple[tuple[str, ...], ...] = (
    ("analyze", GLIBC, "-o", "out", "--format", "json"),
    ("analyze", GLIBC, "--json"),
    ("analyze", GLIBC, "--json", "summary"),
    ("audit", GLIBC, "-o", "out", "--format", "json"),
    ("audit", GLIBC, "-o", "out", "--format", "json", "--json"),
    ("audit", GLIBC, "-o", "out", "--shard", "0/1"),
    ("capture", "pod/web-0", "-n", "shop", "--for", "20s", "-o", "out", "--format", "json"),
    ("compare", GLIBC, GLIBC),
    ("compare", GLIBC, GLIBC, "--json"),
    ("expand", "web", "--ndots", "2"),
    ("expand", "web", "--json"),
    ("explain",),
    ("explain", "plan"),
    ("export", GLIBC, "-t", "names"),
    ("export", GLIBC, "-t", "names", "--format", "csv"),
    ("export", GLIBC, "-t", "names", "--format", "parquet"),
    ("fix", GLIBC, "--manifests", "manifests", "--plan", "names", "--include-review"),
    ("fix", GLIBC, "--manifests", "manifests", "--format", "sarif"),
    ("generate", "--list"),
    ("generate", "plain", "-o", "made.pcap"),
    ("generate", "plain", "-o", "-"),
    ("merge", "dns.tally", "-o", "out", "--format", "json"),
    ("merge", "dns.tally", "--json"),
    ("share", GLIBC, "-o", "shared.pcap", "--key", "key"),
    ("sql", "select * from names", GLIBC),
    ("sql", "select * from names", GLIBC, "--format", "csv"),
    ("tally", GLIBC, "-o", "again.tally"),
    ("--help",),
    ("--version",),
    ("analyze", "--help"),
)


def test_every_command_is_here() -> None:
    assert {arguments[0] for arguments in PRINTING} - {"--help", "--version"} == set(COMMANDS)


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with what the commands take."""
    arguments = request.getfixturevalue("arguments")
    if arguments[0] == "sql":
        pytest.importorskip("duckdb", reason="duckdb is not installed")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "web.yaml").write_text(manifest())
    if arguments[0] == "merge":
        assert run("tally", GLIBC, "-o", str(tmp_path / "dns.tally")).returncode == 0
    return tmp_path


def printed_to(
    sink: int, folder: Path, arguments: tuple[str, ...]
) -> subprocess.CompletedProcess[bytes]:
    (folder / "cluster").mkdir(exist_ok=True)
    cluster = Cluster(folder / "cluster")
    return subprocess.run(
        [sys.executable, "-c", "from pcapkit.cli.main import main; main()", *arguments],
        cwd=folder,
        env=cluster.environment,
        stdin=subprocess.DEVNULL,
        stdout=sink,
        stderr=subprocess.PIPE,
        check=False,
        timeout=300,
    )


@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_reader_that_has_gone_is_no_error_of_the_run(
    arguments: tuple[str, ...], folder: Path
) -> None:
    nobody, sink = os.pipe()
    os.close(nobody)
    try:
        done = printed_to(sink, folder, arguments)
    finally:
        os.close(sink)
    assert done.returncode == 141, done.stderr
    assert b"error" not in done.stderr and b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", PRINTING, ids=" ".join)
def test_a_full_disk_behind_standard_output_is_said(
    arguments: tuple[str, ...], folder: Path
) -> None:
    with open("/dev/full", "wb") as full:
        done = printed_to(full.fileno(), folder, arguments)
    last = done.stderr.decode().splitlines()[-1]
    assert done.returncode == 2, done.stderr
    assert last == "error: the output cannot be written: No space left on device"
    assert b"Traceback" not in done.stderr


def close_all() -> None:
    for stream in (0, 1, 2):
        os.close(stream)


def close_output() -> None:
    os.close(1)


@pytest.mark.parametrize("close", [close_all, close_output])
def test_streams_that_are_closed_take_nothing_and_hinder_nothing(
    tmp_path: Path, close: Callable[[], None]
) -> None:
    """What is opened next would take the place of a stream."""
    for arguments in (
        ("analyze", GLIBC, "-o", "one"),
        ("audit", GLIBC, "-o", "two"),
        ("tally", GLIBC, "-o", "three.tally"),
        ("export", GLIBC, "-t", "names", "-o", "four.jsonl"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", "from pcapkit.cli.main import main; main()", *arguments],
            cwd=tmp_path,
            preexec_fn=close,
            check=False,
        )
        assert done.returncode == 0, arguments
    assert run("analyze", GLIBC, "-o", str(tmp_path / "plain")).returncode == 0
    reports = [tmp_path / name / Path(GLIBC).stem for name in ("one", "plain")]
    files = [{p.name: p.read_bytes() for p in report.iterdir()} for report in reports]
    assert files[0] == files[1]


def test_a_closed_standard_input_is_an_empty_capture() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from pcapkit.cli.main import main; main()", "analyze", "-"],
        capture_output=True,
        preexec_fn=lambda: os.close(0),
        check=False,
    )
    assert done.returncode == 2 and done.stderr.startswith(b"error: stdin: empty")
