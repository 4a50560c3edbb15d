"""No command reaches the network unless it is given a URL: strace(1) sees all of their calls."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pcapkit.cli.root import COMMANDS
from tests.environment.kills import command
from tests.environment.tracing import CAPTURE, CASES, Traced, base, environment, trace, traced
from tests.servers import web_server

__all__ = ["base"]
#: Beside Python: matplotlib asks fontconfig for fonts, ``capture`` asks kubectl.
PROGRAMS = {Path(sys.executable).name, "python", "python3", "fc-list"}
PLAYED = {"sh", "kubectl", "kubectl.py", "cat", "tcpdump", "sleep"}


def assert_silent(run: Traced) -> None:
    """Nothing but pairs of sockets between own processes, which lead nowhere else, and netlink:
    Scapy asks the kernel for the interfaces of the machine.

    A name is looked up through a socket, too: of DNS, or of a service of this machine.
    """
    assert run.of("connect", "io_uring_setup") == []
    assert all(made.startswith("AF_NETLINK, ") for made in run.of("socket")), run.of("socket")
    assert all(pair.startswith("AF_UNIX") for pair in run.of("socketpair"))


def test_every_command_is_traced() -> None:
    assert {words[0] for words in CASES.values()} == set(COMMANDS)


@pytest.mark.parametrize("case", CASES)
def test_without_a_url_nothing_is_reached(case: str, base: Path) -> None:
    run = traced(case, base)
    assert run.status == 0, run.said
    assert_silent(run)
    assert run.programs <= PROGRAMS | (PLAYED if case == "capture" else set()), run.programs


@pytest.mark.parametrize(
    ("query", "more"),
    [
        ("select * from 'http://127.0.0.1:9/a.csv'", ()),
        ("select * from read_xlsx('a.xlsx')", ("--unsafe",)),  # DuckDB would fetch an extension
    ],
)
def test_a_query_reaches_nothing_it_does_not_name(
    tmp_path: Path, query: str, more: tuple[str, ...]
) -> None:
    pytest.importorskip("duckdb")
    run = trace(command(("sql", query, str(CAPTURE), *more)), tmp_path, environment(tmp_path))
    assert run.status == 2, run.said
    assert_silent(run)


def test_a_url_leads_to_its_host_and_to_no_other(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "web").mkdir()
    shutil.copy(CAPTURE, tmp_path / "web" / "dns.pcap")
    with web_server(tmp_path / "web") as server:
        words = ("analyze", f"{server.url}/dns.pcap", "--json", "summary")
        run = trace(command(words), tmp_path, environment(tmp_path))
    assert run.status == 0, run.said
    port = server.url.rpartition(":")[2]
    reached = [call for call in run.of("connect") if "AF_INET" in call]
    assert reached
    assert all(f"htons({port})" in call and "127.0.0.1" in call for call in reached), reached
