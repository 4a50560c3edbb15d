"""``pcapkit generate``: what is written, where, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pcapkit.cli.root import cli
from pcapkit.generating.capture import play
from pcapkit.generating.scenarios import SCENARIOS, make_scenario, scenario_row
from pcapkit.generating.truth import Truth

TSHARK = shutil.which("tshark")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["generate", *map(str, arguments)])


def test_all_scenarios_are_listed() -> None:
    for arguments in ((), ("--list",)):
        done = run(*arguments)
        assert done.exit_code == 0
        for row in SCENARIOS:
            assert f"  {row.name} " in done.output and row.title in done.output
        assert all(len(line) <= 100 for line in done.output.splitlines())


def test_the_capture_and_its_truth_lie_beside_one_another(tmp_path: Path) -> None:
    path = tmp_path / "new" / "dns.pcap"
    done = run("thin", "-o", path)
    assert done.exit_code == 0
    assert done.stdout == f"{path}\n{path.parent / 'dns.truth.json'}\n"
    truth = json.loads((tmp_path / "new" / "dns.truth.json").read_text())
    assert done.stderr == (
        f"8 lookups, {truth['queries']} queries, {truth['wasted_queries']} of them wasted\n"
    )
    assert (truth["schema"], truth["capture"], truth["scenario"]) == (
        "pcapkit.truth/1",
        "dns.pcap",
        "thin",
    )
    assert {p.name for p in path.parent.iterdir()} == {"dns.pcap", "dns.truth.json"}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        folder = tmp_path / name
        assert run("every-class", "--seed", str(seed), "-o", folder / "x.pcap").exit_code == 0
    a, b, c = ((tmp_path / n / "x.pcap").read_bytes() for n in "abc")
    assert a == b and a != c
    truths = [(tmp_path / n / "x.truth.json").read_bytes() for n in "abc"]
    assert truths[0] == truths[1] != truths[2]


def test_what_stood_there_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    assert run("plain", "-o", path).exit_code == 0
    large = path.stat().st_size
    assert run("thin", "-o", path).exit_code == 0
    assert path.stat().st_size < large
    assert json.loads((tmp_path / "x.truth.json").read_text())["scenario"] == "thin"


def test_standard_output_takes_the_capture_alone(tmp_path: Path) -> None:
    run("thin", "-o", tmp_path / "x.pcap")
    done = run("thin", "-o", "-")
    assert done.stdout_bytes == (tmp_path / "x.pcap").read_bytes()
    done = run("thin", "-o", "-", "--truth", tmp_path / "own.json")
    assert done.stdout_bytes == (tmp_path / "x.pcap").read_bytes()
    truth = json.loads((tmp_path / "own.json").read_text())
    assert truth["capture"] == "-" and truth["lookups"] == 8


def test_a_device_gets_no_truth_beside_it() -> None:
    done = run("thin", "-o", "/dev/null")
    assert (done.exit_code, done.stdout) == (0, "")
    assert not Path("/dev/null.truth.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("alpin", "-o", "x"), "no scenario 'alpin'; did you mean alpine"),
        (("nothing-like-it", "-o", "x"), "'pcapkit generate' lists all"),
        (("plain",), "--output: name a file for the capture"),
        (("plain", "-o", "/dev/null/x/y.pcap"), "is not a folder"),
        (("plain", "-o", "."), "it is a folder"),
        (("plain", "-o", "x", "--truth", "x"), "the capture's own file"),
        (("plain", "-o", "x", "--resolver", "bind"), "no resolver 'bind'"),
        (("plain", "-o", "x", "--resolver", "c-ares"), "keeps answers, which is not played"),
        (("plain", "-o", "x", "--resolver", "jndi"), "is not played: glibc, musl"),
        (("plain", "-o", "x", "--search", "a..b"), "--search: line 1"),
        (("plain", "-o", "x", "--for", "never"), "--for 'never': write it as 90s"),
        (("plain", "--like", "y.pcap", "-o", "x"), "--like and plain exclude one another"),
        (("--like", "y.pcap", "-o", "x", "--ndots", "2"), "--like and --ndots exclude one another"),
        (("--like", "y.pcap", "-o", "x"), "y.pcap"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(*arguments)
    assert done.exception is not None and said in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_capture_is_not_written_over_its_own_model(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    run("thin", "-o", path)
    before = path.read_bytes()
    done = run("--like", path, "-o", path)
    assert "it is the capture itself" in str(done.exception) and path.read_bytes() == before


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"{sys.executable} -c 'from pcapkit.cli.main import main; main()'"
    root = Path(__file__).resolve().parents[2]
    return subprocess.run(
        ["bash", "-c", command.replace("pcapkit ", f"{program} ")],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    command = "pcapkit generate plain --lookups 20000 -o - | head -c 10 > /dev/null"
    done = shell(f"{command}; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stdout.endswith("141\n") and done.stderr == ""


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    done = shell("pcapkit generate plain -o - > /dev/full; echo $?", tmp_path)
    assert done.stdout == "2\n" and "No space left on device" in done.stderr
    done = shell("pcapkit generate plain -o x.pcap --truth /dev/full; echo $?", tmp_path)
    assert done.stdout == "2\n" and "cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_lookups() -> None:
    def peak(lookups: int) -> int:
        made, _ = make_scenario(scenario_row("plain"), lookups=lookups, seconds=60.0)
        tracemalloc.start()
        for _ in play(made, 1, Truth(made)):
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(500)  # what is kept from run to run
    assert peak(6000) < 1.5 * peak(1500)


def test_packets_are_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    run("lost-queries", "-o", path)
    data, at, times = path.read_bytes(), 24, []
    while at < len(data):
        seconds, micros, size, _ = struct.unpack_from("<IIII", data, at)
        times.append((seconds, micros))
        at += 16 + size
    assert len(times) > 1000 and times == sorted(times)


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
@pytest.mark.parametrize(
    "name",
    [
        "every-class",
        "closed-nameserver",
        "truncated",
        "large-answers",
        "autopath",
        "service-probes",
        "truncated-without-tcp",
    ],
)
def test_tshark_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    run(name, "-o", path)
    checks = [f"{p}.check{s}:TRUE" for p, s in (("ip", "_checksum"), ("udp", "_checksum"))]
    wrong = (
        "_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || "
        "tcp.checksum.status == 0 || icmp.checksum.status == 0"
    )
    options = [o for c in (*checks, "tcp.check_checksum:TRUE") for o in ("-o", c)]
    done = subprocess.run(
        [str(TSHARK), "-r", str(path), *options, "-Y", wrong], capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("", 0), done.stderr
