"""What the commands say of inputs at first sight, before anything heavy is imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.test_cli import GLIBC, TRACE_1, TRACE_2, run

NOISE = bytes(range(128, 256)) * 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of inputs of which none can be analysed."""
    (tmp_path / "empty.pcap").touch()
    (tmp_path / "too.pcap").touch()
    (tmp_path / "noise.pcap").write_bytes(NOISE)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["analyze", "none.pcap"], "none.pcap: no such file (check the path)"),
        (["analyze", GLIBC, "none.pcap"], "none.pcap: no such file (check the path)"),
        (["analyze", "none*.pcap"], "none*.pcap: no file matches this pattern (check the path)"),
        (["analyze", "folder"], "folder: is a directory (use 'pcapkit audit' for folders)"),
        (["analyze", "empty.pcap"], "empty.pcap: empty: there is no capture in it"),
        (["analyze", "empty.pcap", "too.pcap"], "empty.pcap: all 2 inputs are empty"),
        (["analyze", "noise.pcap"], "noise.pcap: not a capture: it begins with the bytes 80 81 82"),
        (["analyze", "none.pcap", "--json"], "none.pcap: no such file (check the path)"),
        (["export", "none.pcap", "-t", "names"], "none.pcap: no such file (check the path)"),
        (["export", "noise.pcap", "-t", "messages"], "noise.pcap: not a capture"),
        (["compare", "none.pcap", GLIBC], "none.pcap: no such file (check the path)"),
        (["compare", GLIBC, "empty.pcap"], "empty.pcap: empty: there is no capture in it"),
        (["audit", "none.pcap"], "none.pcap: no such file or folder"),
        (["audit", "folder"], "no captures found under folder"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(
    folder: Path, arguments: list[str], says: str
) -> None:
    code = "from pcapkit.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and not done.stdout
    assert f"error: {says}" in done.stderr
    for heavy in ("numba", "numpy", "pcapkit.pipeline.analyze", "pcapkit.report.html.painter"):
        assert f" {heavy}\n" not in done.stderr


def test_several_files_may_be_empty_but_not_all(folder: Path) -> None:
    done = run("analyze", GLIBC, str(folder / "empty.pcap"), "--json")
    assert done.returncode == 0 and b"empty.pcap: empty, left out" in done.stderr
    assert json.loads(done.stdout)["waste"]["queries"] == 242


def test_a_pattern_is_every_file_that_matches_it(tmp_path: Path) -> None:
    for number, path in enumerate((TRACE_1, TRACE_2)):
        (tmp_path / f"dns.pcap{number}").write_bytes(Path(path).read_bytes())
    done = run("analyze", str(tmp_path / "dns.pcap*"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["waste"]["queries"] == 12


@pytest.mark.parametrize(
    "arguments", [["analyze", "dns", "--json"], ["export", "dns", "-t", "transactions"]]
)
def test_nothing_is_taken_out_of_a_named_pipe_before_it_is_read(
    tmp_path: Path, arguments: list[str]
) -> None:
    os.mkfifo(tmp_path / "dns")
    capture = Path(GLIBC).read_bytes()
    writer = threading.Thread(target=(tmp_path / "dns").write_bytes, args=(capture,), daemon=True)
    writer.start()
    done = subprocess.run(
        [sys.executable, "-c", "from pcapkit.cli.main import main; main()", *arguments],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    writer.join()
    from_file = run(arguments[0], GLIBC, *arguments[2:]).stdout
    assert done.stdout == from_file.replace(json.dumps(GLIBC).encode(), b'"dns"')


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
def test_standard_streams_may_be_closed(closed: str, tmp_path: Path) -> None:
    """As whoever starts a service may leave them."""
    command = [sys.executable, "-c", "from pcapkit.cli.main import main; main()"]
    analyze = [*command, "analyze", GLIBC, "-o", str(tmp_path)]
    subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *analyze], check=True)
    assert list(tmp_path.rglob("report.html"))
    shell = ["sh", "-c", '"$@" <&-', "sh", *command, "analyze", "-"]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: stdin: empty")


@pytest.mark.parametrize("arguments", [["explain"], ["analyze", str(TRACE_1), "--json"]])
def test_a_reader_that_goes_away_is_no_gate_that_failed(arguments: list[str]) -> None:
    code = "from pcapkit.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 141 and said == b""


def test_files_of_our_own_given_to_the_wrong_command(tmp_path: Path) -> None:
    tally, out = str(tmp_path / "x.tally"), str(tmp_path / "out")
    assert run("tally", GLIBC, "-o", tally).returncode == 0
    assert run("audit", GLIBC, "-o", out, "--history", "--format", "json").returncode == 0
    (history,) = (tmp_path / "out" / "history").rglob("*.parquet")
    index = str(tmp_path / "out" / "audit.json")
    (saved,) = map(str, (tmp_path / "out").glob("*/analysis.json"))
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n")
    for command, path, says in (
        ("analyze", tally, "but a tally of one ('pcapkit merge "),
        ("analyze", str(history), "but a Parquet table ('pcapkit sql --history FOLDER' "),
        ("analyze", index, "but the index of an audit"),
        ("analyze", saved, "but a saved analysis"),
        ("analyze", out, "use 'pcapkit audit' for folders"),
        ("analyze", str(manifest), "but a Kubernetes manifest"),
        ("merge", GLIBC, f"no tally, but a capture ('pcapkit tally {GLIBC}' makes one"),
        ("merge", index, "no tally, but the index of an audit"),
        ("merge", str(manifest), "no tally, but a Kubernetes manifest"),
    ):
        done = run(command, path, "-o", str(tmp_path / "reports"))
        message = done.stderr.decode()
        assert done.returncode == 2 and message.count("\n") == 1, message
        assert says in message, message
    assert not (tmp_path / "reports").exists()
