"""The commands as a user runs them: output, files, exit codes, messages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pcapkit.model.vocabulary import Safety
from tests import build
from tests.analysis.faults.test_delivery import races

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "captures" / "lab"
TRACES = ROOT / "captures" / "six-traces"
GLIBC = str(LAB / "whatif_w1_glibc_ndots5.pcap")
TRACE_1 = str(next(TRACES.glob("trace-1-*.pcap")))
TRACE_2 = str(next(TRACES.glob("trace-2-*.pcap")))
SCHEMA = json.loads((files("pcapkit") / "report" / "analysis.schema.json").read_text())


def run(
    *arguments: str, stdin: bytes | None = None, prefix: Sequence[str] = (), **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run ``pcapkit`` in a process of its own."""
    return subprocess.run(
        [*prefix, sys.executable, "-c", "from pcapkit.cli.main import main; main()", *arguments],
        input=stdin,
        capture_output=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", **environment},
    )


def analysed(*arguments: str, **more: Any) -> dict[str, Any]:
    done = run("analyze", *arguments, "--json", **more)
    assert done.returncode == 0, done.stderr
    out: dict[str, Any] = json.loads(done.stdout)
    return out


@pytest.mark.parametrize(
    "capture", [TRACE_1, GLIBC, str(LAB / "multi6_any_sll2.pcap"), str(LAB / "fmt_text_vv_tt.txt")]
)
def test_json_is_valid_by_the_schema(capture: str) -> None:
    jsonschema.validate(analysed(capture), SCHEMA)


def test_analyze_writes_a_report_and_says_where(tmp_path: Path) -> None:
    done = run("analyze", GLIBC, "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "whatif_w1_glibc_ndots5"
    printed = done.stdout.decode()
    assert str(folder / "report.html") in printed.replace("\n", "")
    assert {p.name for p in folder.iterdir()} >= {
        "report.html",
        "analysis.json",
        "waste-by-class.png",
        "ndots-settings.png",
        "worst-names.png",
        "timeline.png",
        "chain.png",
    }
    summary = printed[: printed.index(str(tmp_path))]
    assert max(len(line) for line in summary.splitlines()) <= 80
    assert "152 of 242" in summary
    assert not [p for p in folder.iterdir() if p.name.startswith(".")]


def test_the_second_run_takes_the_same_folder_and_another_capture_does_not(tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / Path(TRACE_1).name
    other.parent.mkdir()
    other.write_bytes(Path(TRACE_2).read_bytes())
    out = tmp_path / "out"
    for capture in (TRACE_1, TRACE_1, str(other)):
        done = run("analyze", capture, "-o", str(out), "--format", "json", "-q")
        assert done.returncode == 0, done.stderr
    stem = Path(TRACE_1).stem
    assert sorted(p.name for p in out.iterdir()) == [stem, f"{stem}-2"]


def test_standard_input_gives_the_same_lookups() -> None:
    piped = analysed("-", stdin=Path(GLIBC).read_bytes())
    named = analysed(GLIBC)
    assert piped["captures"][0]["path"] == "stdin"
    for key in ("waste", "clients", "names", "what_if"):
        assert piped[key] == named[key]


def test_several_captures_are_read_as_one() -> None:
    together = analysed(TRACE_1, TRACE_2)
    assert together["waste"]["queries"] == 12
    assert [c["packets"] for c in together["captures"]] == [18, 6]


@pytest.mark.parametrize(
    "table", ["messages", "transactions", "lookups", "clients", "names", "what_if"]
)
def test_export_jsonl(table: str) -> None:
    done = run("export", TRACE_1, "-t", table)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    expected = {
        "messages": 18,
        "transactions": 9,
        "lookups": 2,
        "clients": 1,
        "names": 2,
        "what_if": 25,
    }
    assert len(rows) == expected[table]


def test_export_has_the_columns_that_callers_rely_on() -> None:
    columns = {
        "messages": "capture packet_no message_no time interface transport client_addr client_port "
        "server_addr server_port message_id is_response opcode rcode aa tc rd ra qname qtype "
        "qclass answers min_ttl edns_bytes message_bytes duplicate_of",
        "transactions": "capture transaction_id lookup_id query_packet_no response_packet_no "
        "query_time response_time rtt_s retries transport client_addr client_port server_addr "
        "qname qtype outcome rcode aa answers min_ttl waste_class suffix repeated forwarded "
        "container",
        "lookups": "capture lookup_id client_addr base_name absolute ambiguous kind qtypes "
        "first_packet_no start_time end_time duration_s wasted_s candidates queries retries "
        "nxdomain wasted_queries outcome answered_by answered_suffix complete walk_of container",
    }
    for table, names in columns.items():
        first = json.loads(run("export", TRACE_1, "-t", table).stdout.splitlines()[0])
        assert list(first) == names.split()


def test_times_are_iso_with_nine_digits_and_null_without_a_clock() -> None:
    row = json.loads(run("export", TRACE_1, "-t", "lookups").stdout.splitlines()[0])
    assert row["start_time"] == "2021-03-01T00:00:00.000120000Z"
    text = TRACE_1.replace(".pcap", ".txt")
    row = json.loads(run("export", text, "-t", "lookups").stdout.splitlines()[0])
    assert row["start_time"] is row["duration_s"] is None


def test_export_to_a_file_and_as_parquet(tmp_path: Path) -> None:
    import pandas as pd

    target = tmp_path / "new" / "lookups.parquet"
    done = run("export", GLIBC, "-t", "lookups", "--format", "parquet", "-o", str(target))
    assert done.returncode == 0, done.stderr
    frame = pd.read_parquet(target)
    assert len(frame) == 45
    assert str(frame["start_time"].dtype) == "datetime64[ns, UTC]"


def test_csv_cells_are_no_formulas(tmp_path: Path) -> None:
    capture = tmp_path / "names.txt"
    capture.write_text(
        "IP 10.0.0.1.4000 > 10.0.0.2.53: 7+ A? =cmd().evil.example. (30)\n"
        "IP 10.0.0.2.53 > 10.0.0.1.4000: 7 NXDomain 0/1/0 (90)\n"
    )
    done = run("export", str(capture), "-t", "names", "--format", "csv")
    assert b"\n'=cmd" in done.stdout


def test_fail_on_threshold() -> None:
    assert run("analyze", GLIBC, "--json", "--fail-on", "waste>30%").returncode == 1
    assert run("analyze", GLIBC, "--json", "--fail-on", "waste>0.9").returncode == 0
    assert run("analyze", GLIBC, "--json", "--fail-on", "wastes>3").returncode == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"hello, world\n" * 20, "not a capture"), (b"\xd4\xc3\xb2\xa1\x02\0", "cut")],
)
def test_what_is_no_capture(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "thing.pcap"
    path.write_bytes(content)
    done = run("analyze", str(path), "-o", str(tmp_path / "out"))
    message = done.stderr.decode()
    assert done.returncode == 2
    assert str(path) in message and says in message and "Traceback" not in message
    assert not (tmp_path / "out").exists()


def test_other_bad_inputs(tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_bytes(b"search a.example\xff\n")
    doubled = tmp_path / "doubled.conf"
    doubled.write_text("nameserver 10.96.0.10\nsearch a..example\n")
    none = str(tmp_path / "none.conf")
    for arguments, says in (
        (["analyze", GLIBC, "--resolv-conf", str(broken)], f"{broken}: byte 16"),
        (["analyze", GLIBC, "--resolv-conf", str(doubled)], f"{doubled}: line 2"),
        (["analyze", GLIBC, "--resolv-conf", none], f"{none}: cannot be read: No such file"),
        (["analyze", GLIBC, "--resolv-conf", f"10.0.0.0/8={none}"], f"{none}: cannot be read"),
        (["analyze", GLIBC, "--search", "a..example"], "--search"),
        (["expand", "www", "--search", "a..example"], "--search"),
        (["analyze", GLIBC, "-o", str(ROOT / "LICENSE" / "below")], "is not a folder"),
        (["audit", GLIBC, "-o", str(ROOT / "LICENSE" / "below")], "is not a folder"),
        (["export", GLIBC, "-t", "names", "-o", str(ROOT / "LICENSE" / "x")], "is not a folder"),
        (["export", GLIBC, "-t", "names", "-o", str(tmp_path)], str(tmp_path)),
        (["analyze", str(tmp_path)], "is a directory"),
        (["analyze", str(tmp_path / "none.pcap")], "no such file"),
        (["analyze", GLIBC, "--resolv-conf", str(ROOT / "LICENSE")], "line 1"),
        (["analyze", GLIBC, "--from", "yesterday"], "--from"),
        (["analyze", GLIBC, "--resolver", "nsd"], "glibc, musl"),
        (["analyze", GLIBC, "--format", "pdf"], "html"),
        (["analyze", GLIBC, "-o", str(ROOT / "LICENSE")], "is not a folder"),
        (["analyze", GLIBC, "--corefile", str(ROOT / "LICENSE")], "kubernetes"),
        (["analyze"], "Missing argument"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, arguments
        assert says in done.stderr.decode(), (arguments, done.stderr)
        assert b"Traceback" not in done.stderr


#: Root reads and writes everything, unless it is started without that privilege.
_PLAIN = (
    ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
)


@pytest.mark.skipif(
    bool(_PLAIN) and shutil.which("setpriv") is None, reason="setpriv is not installed"
)
def test_no_permission(tmp_path: Path) -> None:
    secret = tmp_path / "secret.pcap"
    secret.write_bytes(Path(TRACE_1).read_bytes())
    secret.chmod(0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for arguments, says in (
        (["analyze", str(secret)], f"{secret}: no permission to read it"),
        (["compare", str(secret), TRACE_1], f"{secret}: no permission to read it"),
        (["analyze", TRACE_1, "-o", str(closed / "out")], "no permission to write there"),
        (["audit", TRACE_1, "-o", str(closed)], "no permission to write there"),
    ):
        done = run(*arguments, prefix=_PLAIN)
        assert done.returncode == 2 and says in done.stderr.decode(), (arguments, done.stderr)
    assert not list(closed.iterdir())


@contextmanager
def piped(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command that has read a capture from a pipe, and waits for more of it."""
    # A shell starts what it runs in the background deaf to SIGINT, and children inherit that.
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    with subprocess.Popen(
        [sys.executable, "-c", hearing + "from pcapkit.cli.main import main; main()", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdin is not None
        capture = Path(GLIBC).read_bytes()
        # Far more than a pipe holds: once it is written, the run is reading.
        running.stdin.write(capture[:24] + capture[24:] * (4_000_000 // len(capture)))
        running.stdin.flush()
        yield running
        running.stdin.close()


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "lookups.jsonl"
    with piped("export", "-", "-t", "lookups", "-o", str(out)) as running:
        assert running.stderr is not None
        while running.poll() is None:  # one that comes just before a read is seen after the next
            running.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                running.wait(timeout=10)
        said = running.stderr.read()
    assert running.returncode == 130
    assert said.endswith(b"interrupted\n") and b"Traceback" not in said
    assert not any(tmp_path.iterdir())


def test_an_interrupt_ends_a_piped_capture(tmp_path: Path) -> None:
    """The end of kubectl exec ... | pcapkit analyze -: a report of what came until then."""
    with piped("analyze", "-", "-o", str(tmp_path)) as running:
        assert running.stderr is not None
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=120)[1]
    assert running.returncode == 0, said
    assert b"stdin: interrupted; analysed up to there" in said
    told = json.loads((tmp_path / "stdin" / "analysis.json").read_text())
    packets = told["packets"]
    assert packets["total"] == told["captures"][0]["packets"] > 0
    assert packets["total"] == packets["with_messages"] + packets["duplicates"]
    assert (tmp_path / "stdin" / "report.html").exists()


def test_what_nobody_foresaw_is_no_crossed_threshold(tmp_path: Path) -> None:
    fault = (
        "import pcapkit.pipeline.analyze as p; p.collect = None; "
        "from pcapkit.cli.main import main; main()"
    )
    for more, shown in ((), b"report it"), (("--debug",), b"Traceback"):
        done = subprocess.run(
            [sys.executable, "-c", fault, *more, "analyze", TRACE_1, "-o", str(tmp_path / "out")],
            capture_output=True,
            check=False,
        )
        assert (done.returncode == 2) is (not more)
        assert shown in done.stderr and (b"Traceback" in done.stderr) is bool(more)
    assert not (tmp_path / "out").exists()


def test_a_fault_stops_no_audit(tmp_path: Path) -> None:
    fault = (
        "import pcapkit.pipeline.analyze as p; p.collect = None; "
        "from pcapkit.cli.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", fault, "audit", TRACE_1, TRACE_2, "-o", str(tmp_path)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3
    said = b" ".join(done.stdout.split())
    assert said.count(b"(a fault of pcapkit)") == 2 and b"Traceback" not in done.stderr
    assert "TypeError" in (tmp_path / "index.html").read_text()


def test_a_header_without_packets_gives_zeros_and_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "idle.pcap"
    path.write_bytes(Path(GLIBC).read_bytes()[:24])
    done = run("analyze", str(path), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["waste"]["queries"] == 0
    assert b"port 53" in done.stderr


def test_a_cut_last_record_is_analysed_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(Path(TRACE_1).read_bytes()[:-7])
    done = run("analyze", str(path), "--json")
    parts = json.loads(done.stdout)
    assert done.returncode == 0
    assert parts["captures"][0]["truncated_tail"] is True
    assert parts["packets"]["total"] == 17
    assert b"cut" in done.stderr


def test_an_unknown_link_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "odd.pcap"
    data = bytearray(Path(TRACE_1).read_bytes())
    data[20:24] = (147).to_bytes(4, "little")
    path.write_bytes(data)
    done = run("analyze", str(path), "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["packets"]["skipped"] == {"unknown_link_type": 18}
    assert b"147" in done.stderr


def test_clients_and_times_can_be_chosen() -> None:
    whole = analysed(str(LAB / "multi6_any_sll2.pcap"))
    some = analysed(str(LAB / "multi6_any_sll2.pcap"), "--client", "10.244.0.0/16")
    assert 0 < len(some["clients"]) < len(whole["clients"])
    assert all(c["client_addr"].startswith("10.244.") for c in some["clients"])
    assert some["packets"]["skipped"]["other_client"] > 0
    early = analysed(TRACE_1, "--to", "2021-03-01T00:00:00.001Z")
    assert 0 < early["messages"]["total"] < 18
    assert early["packets"]["total"] == 18


def test_settings_from_a_resolv_conf_bound_to_a_client(tmp_path: Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 10.96.0.10\nsearch a.example b.example\noptions ndots:2\n")
    given = analysed(GLIBC, "--resolv-conf", str(conf))
    assert given["clients"][0]["search"] == ["a.example", "b.example"]
    assert given["clients"][0]["ndots"]["source"] == "resolv.conf"
    other = analysed(GLIBC, "--resolv-conf", f"192.0.2.0/24={conf}")
    assert other["clients"] == analysed(GLIBC)["clients"]


def test_the_cluster_domain_decides_what_is_a_cluster_name(tmp_path: Path) -> None:
    corefile = tmp_path / "Corefile"
    corefile.write_text(".:53 {\n    kubernetes other.zone in-addr.arpa ip6.arpa {\n    }\n}\n")
    kinds = {n["kind"] for n in analysed(GLIBC, "--corefile", str(corefile))["names"]}
    assert "cluster" not in kinds
    assert "cluster" in {n["kind"] for n in analysed(GLIBC)["names"]}


def test_expand() -> None:
    done = run("expand", "www.example.com", "--json")
    walk = json.loads(done.stdout)
    assert walk["candidates"] == [
        "www.example.com.default.svc.cluster.local",
        "www.example.com.svc.cluster.local",
        "www.example.com.cluster.local",
        "www.example.com",
    ]
    wasted = {c["ndots"]: c["wasted_queries"] for c in walk["costs"] if c["found"] == walk["name"]}
    assert wasted == {0: 0, 1: 0, 2: 0, 3: 6, 4: 6, 5: 6}
    text = run("expand", "www.example.com").stdout.decode()
    assert "2 dots < ndots 5" in text
    assert max(map(len, text.splitlines())) <= 80
    assert run("expand", "a..b").returncode == 2


def test_explain() -> None:
    every = run("explain").stdout.decode()
    assert "search_miss" in every
    assert max(map(len, every.splitlines())) <= 80
    assert b"suffix" in run("explain", "search-miss").stdout
    assert b"four fifths of the waste" in run("explain", "plan").stdout
    for verdict in Safety:
        assert f"{verdict}  (verdict)" in run("explain", verdict).stdout.decode()
    assert b"cluster_dns" in run("explain", "vantage").stdout
    edits = run("explain", "edits").stdout.split()
    assert b" ".join(edits).count(b"one name written in full, each in one workload") == 1
    both = run("explain", "autopath").stdout
    assert b"autopath  (fault)" in both and b"autopath  (setting)" in both
    done = run("explain", "serch_miss")
    assert done.returncode == 2 and b"search_miss" in done.stderr


def test_audit_ranks_and_survives_bad_captures(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in (GLIBC, TRACE_2):
        (folder / Path(path).name).write_bytes(Path(path).read_bytes())
    (folder / "notes.txt").write_text("not a capture, and it does not say so\n")
    (folder / "<b>bad.pcap").write_bytes(b"nothing of that kind")
    out = tmp_path / "out"
    done = run("audit", str(folder), "-o", str(out), "--format", "html,json")
    assert done.returncode == 3, done.stderr
    rows = json.loads((out / "audit.json").read_text())["captures"]
    assert [Path(r["path"]).name for r in rows] == [
        Path(GLIBC).name,
        Path(TRACE_2).name,
        "<b>bad.pcap",
    ]
    assert rows[2]["error"]
    page = (out / "index.html").read_text()
    assert "<b>bad" not in page and "&lt;b&gt;bad" in page
    for row in rows[:2]:
        assert (out / row["report"]).is_file()
    assert run("audit", str(tmp_path / "out" / "nothing")).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--help"], {}, "Usage"),
        (["--version"], {}, "version"),
        (["export", "--help"], {}, "parquet"),
        ([], {"_PCAPKIT_COMPLETE": "bash_source"}, "complete"),
        (
            [],
            {"_PCAPKIT_COMPLETE": "bash_complete", "COMP_WORDS": "pcapkit an", "COMP_CWORD": "1"},
            "plain,analyze",
        ),
        (
            [],
            {
                "_PCAPKIT_COMPLETE": "zsh_complete",
                "COMP_WORDS": "pcapkit export -t w",
                "COMP_CWORD": "3",
            },
            "what_if",
        ),
    ],
)
def test_what_reads_nothing_imports_nothing_heavy(
    arguments: list[str], environment: dict[str, str], says: str
) -> None:
    code = "import sys; sys.argv[0] = 'pcapkit'; from pcapkit.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    assert says in done.stdout
    for heavy in ("numba", "pandas", "matplotlib", "jinja2", "numpy", "pyarrow", "rich"):
        assert f" {heavy}\n" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "others"),
    [
        (["explain", "ndots"], ["pcapkit.pipeline.analyze", "rich", "jinja2"]),
        (["expand", "example.com"], ["numpy", "pcapkit.pipeline.analyze", "rich", "jinja2"]),
        (["analyze", GLIBC, "--json"], ["rich", "jinja2", "pcapkit.report.html.painter"]),
        (["analyze", GLIBC, "-q", "--format", "html,png,json", "-o"], ["rich"]),
    ],
)
def test_a_command_imports_what_it_needs(
    arguments: list[str], others: list[str], tmp_path: Path
) -> None:
    """Nor does one that reads a capture import Numba, once kernels have been compiled."""
    arguments = [*arguments, str(tmp_path)] if arguments[-1] == "-o" else arguments
    assert run(*arguments).returncode == 0  # which compiles what has not been
    code = "from pcapkit.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    for heavy in ("numba", "pandas", "matplotlib", "pyarrow", "scapy", *others):
        assert f" {heavy}\n" not in done.stderr


def test_options_come_from_the_environment_too() -> None:
    done = run("analyze", GLIBC, "--json", PCAPKIT_ANALYZE_NDOTS="4")
    assert json.loads(done.stdout)["options"] == {"ndots": 4}


def test_variables_are_called_as_the_options_are(tmp_path: Path) -> None:
    done = run("analyze", GLIBC, "-o", str(tmp_path), PCAPKIT_ANALYZE_FORMAT="json")
    assert done.returncode == 0
    assert {p.name for p in tmp_path.rglob("*.*")} == {"analysis.json"}
    done = run("analyze", GLIBC, "--json", PCAPKIT_ANALYZE_CLIENT="192.0.2.1 192.0.2.2")
    assert json.loads(done.stdout)["options"]["clients"] == ["192.0.2.1/32", "192.0.2.2/32"]
    done = run("audit", GLIBC, "-o", str(tmp_path), PCAPKIT_AUDIT_FORMAT="none")
    assert done.returncode == 2 and b"--format" in done.stderr


def test_nothing_in_the_working_directory_is_run(tmp_path: Path) -> None:
    """Captures of strangers are unpacked somewhere, and what lies beside them is theirs too."""
    for name in ("socket", "pickle", "matplotlib", "numba", "pcapkit"):
        (tmp_path / f"{name}.py").write_text("open('it-ran', 'a').close()")
    shutil.copy(TRACE_1, tmp_path / "a.pcap")
    done = subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            "from pcapkit.cli.main import main; main()",
            "analyze",
            "a.pcap",
        ],
        cwd=tmp_path,
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels")},  # so this is a first run
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "first run" in done.stderr, done.stderr
    assert (tmp_path / "reports" / "a" / "report.html").exists()
    assert not (tmp_path / "it-ran").exists()


def test_a_gate_on_faults_counts_what_is_shown(tmp_path: Path) -> None:
    shown = build.save(tmp_path, races(10, elsewhere=0).capture(), "shown.pcap")
    maybe = build.save(tmp_path, races(10, elsewhere=8).capture(), "maybe.pcap")
    for path, rule, status in (
        (shown, "fault:conntrack_race", 1),
        (maybe, "fault:conntrack-race", 0),
        (maybe, "fault:any", 1),  # the stalls are shown
        (shown, "fault:autopath", 0),
        (shown, "fault:nonsense", 2),
    ):
        assert run("analyze", path, "--json", "--fail-on", rule).returncode == status, rule
    for path, status in ((maybe, 0), (shown, 1)):
        rule = ("--format", "json", "--fail-on", "fault:conntrack_race")
        assert run("audit", path, "-o", str(tmp_path / "all"), *rule).returncode == status


def test_a_client_that_sent_nothing_is_named() -> None:
    out = run("analyze", GLIBC, "--client", "nonsense", "--json")
    assert out.returncode == 0
    said = " ".join(out.stderr.decode().split())
    here = "sent a message (clients here: 172.41.10.200)"
    assert f"--client nonsense: no client of this address or name {here}" in said
    assert "no DNS message" not in said
