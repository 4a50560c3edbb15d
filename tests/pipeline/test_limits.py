"""The named limits, lowered: what is beyond one is summed, cut off or refused, and said."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from click.testing import CliRunner

from pcapkit.cli.root import cli
from pcapkit.codes import ANSWER, NODATA
from pcapkit.errors import InputError, UsageError
from pcapkit.limits import OTHER_CLIENTS, OTHER_NAMES, OTHER_SERVERS, Limits, listed
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from tests import build
from tests.play import Workload, write_together

CLIENTS = [f"10.244.1.{n}" for n in range(1, 8)]
NAMES = [f"api{n}.example.com" for n in range(9)]
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "lz4": lz4.frame.compress,
}
#: 2 MB of packets without bytes follow those of the capture.
ZEROS = bytes(2_000_000)
LOW = ("expansion_floor=100000", "expansion_ratio=20")


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A capture of seven clients, each of which looks up one name more than the one before."""
    works = [
        Workload(
            NAMES[: n + 2], dict.fromkeys(NAMES, (ANSWER, NODATA)), clients=[c], first_port=2000
        )
        for n, c in enumerate(CLIENTS)
    ]
    return write_together(works, tmp_path_factory.mktemp("limits"))


def in_namespaces(namespaces: list[str]) -> list[Workload]:
    """Return a client in each namespace; each looks up one name more than the one before."""
    return [
        Workload(
            NAMES[: n + 2],
            dict.fromkeys(NAMES, (ANSWER, NODATA)),
            clients=[client],
            first_port=2000,
            search=(f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"),
        )
        for n, (client, namespace) in enumerate(zip(CLIENTS, namespaces, strict=True))
    ]


def parts(analysis: Analysis) -> dict[str, object]:
    """Return the parts of the JSON that no limit of rows may change."""
    found = json.loads(analysis.to_json())
    for row in (*found["findings"], *found["recommendations"], *found["plans"]):
        del row["clients"]
        row.get("evidence", {}).pop("other_clients", None)
    rows = ("options", "clients", "workloads", "names", "what_if", "warnings")
    return {key: value for key, value in found.items() if key not in rows}


def rows(analysis: Analysis, part: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(analysis.to_json())[part]
    return found


def totals(found: list[dict[str, object]]) -> tuple[int, ...]:
    return tuple(
        sum(int(str(row[key])) for row in found) for key in ("lookups", "queries", "wasted_queries")
    )


def test_clients_beyond_the_limit_are_one_row(capture: str) -> None:
    whole, cut = analyze(capture), analyze(capture, limits=["clients=3"])
    every, kept = rows(whole, "clients"), rows(cut, "clients")
    assert [r["client_addr"] for r in kept] == [*CLIENTS[:-4:-1], OTHER_CLIENTS]
    assert kept[:3] == every[:3]
    assert totals(kept) == totals(every)
    assert kept[3]["first_time"] == min(str(r["first_time"]) for r in every[3:])
    assert kept[3]["last_time"] == max(str(r["last_time"]) for r in every[3:])
    assert totals(rows(cut, "workloads")) == totals(rows(whole, "workloads"))
    mine = {r["client_addr"] for r in rows(cut, "what_if")}
    assert mine == {None, *CLIENTS[:-4:-1]}
    together = [r for r in rows(whole, "what_if") if r["client_addr"] is None]
    assert [r for r in rows(cut, "what_if") if r["client_addr"] is None] == together
    assert parts(cut) == parts(whole)
    assert sum(cut.waste.by_class.values()) == cut.waste.queries == whole.waste.queries
    (said,) = (w for w in cut.warnings if "clients" in w)
    assert said.startswith("4 rows of clients") and "limit clients=3" in said


def test_names_beyond_the_limit_are_one_row(capture: str) -> None:
    whole, cut = analyze(capture), analyze(capture, limits=["names=2"])
    every, kept = rows(whole, "names"), rows(cut, "names")
    assert kept[:2] == every[:2] and len(kept) == 3 < len(every)
    assert kept[2]["base_name"] == OTHER_NAMES
    assert totals(kept) == totals(every)
    of_names = {"recommendations": 0}  # names without a row have none
    assert parts(cut) | of_names == parts(whole) | of_names
    assert any("limit names=2" in w for w in cut.warnings)


def test_search_lists_are_inferred_from_so_many_sequences_of_names(capture: str) -> None:
    whole, same = analyze(capture), analyze(capture, limits=["client_names=1000"])
    assert not any("client_names" in w for w in (*whole.warnings, *same.warnings))
    cut = analyze(capture, limits=["client_names=1"])
    (said,) = (w for w in cut.warnings if "limit client_names=1" in w)
    assert said.startswith("search lists were inferred without ")
    assert sum(cut.waste.by_class.values()) == cut.waste.queries == whole.waste.queries
    assert len({c.search for c in cut.client_rows}) > 1  # only the first sequence proves a list


def test_types_beyond_the_limit_begin_another_lookup(tmp_path: Path) -> None:
    frames = []
    for qtype in range(1, 41):
        asked, got = build.query("x.example", qtype), build.response("x.example", qtype)
        frames += [build.ethernet(build.ask(asked)), build.ethernet(build.answer(got))]
    path = build.save(tmp_path, build.pcap(build.packets(*frames, step=100_000)))
    whole, same = analyze(path), analyze(path, limits=["name_types=40"])
    assert whole.lookup_counts.total == same.lookup_counts.total == 1
    assert not any("name_types" in w for w in (*whole.warnings, *same.warnings))
    cut = analyze(path, limits=["name_types=8"])
    assert cut.lookup_counts.total == 5 and cut.waste == whole.waste
    (said,) = (w for w in cut.warnings if "limit name_types=8" in w)
    assert said.startswith("4 lookups asked for more types of a name than a lookup may")


def test_a_warning_of_one_row_says_one(capture: str) -> None:
    cut = analyze(capture, limits=["clients=6", "names=7"])
    begun = [w.split(" (limit")[0] for w in cut.warnings if "(limit" in w]
    assert f"1 row of a client that wastes least is summed as '{OTHER_CLIENTS}'" in begun
    assert f"1 name that wastes least is summed as '{OTHER_NAMES}'" in begun


def test_the_page_and_the_tables_hold_the_rest_too(capture: str, tmp_path: Path) -> None:
    cut = analyze(capture, limits=["clients=3", "names=2"])
    assert list(cut.names["base_name"])[-1] == OTHER_NAMES
    assert cut.clients["queries"].sum() == cut.waste.queries
    cut.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "4 rows of clients that waste least are summed" in page
    assert f"wastes most of {len(CLIENTS)} clients" in page


def test_long_names_leave_space_for_fewer_rows(tmp_path: Path) -> None:
    """What is kept has as many characters as the limit says, and wastes most; sums stay exact."""
    labels = [bytes([200 + n]) * 60 for n in range(9)]
    frames = [
        build.ethernet(build.ask(build.query([label] * 3, ident=n * 10 + again)))
        for n, label in enumerate(labels)
        for again in range(n + 1)
    ]
    path = build.save(tmp_path, build.pcap(build.packets(*frames, step=build.SECOND * 60)))
    whole, cut = analyze(path), analyze(path, limits=["row_characters=3000"])
    every, kept = rows(whole, "names"), rows(cut, "names")
    assert len(every) == 9 and kept[:3] == every[:3] and len(kept) == 4
    assert len(json.dumps([row["base_name"] for row in kept[:3]])) < 3000
    assert kept[3]["base_name"] == OTHER_NAMES and totals(kept) == totals(every)
    (said,) = (w for w in cut.warnings if "limit row_characters=3000" in w)
    assert said.startswith("6 names that waste least are summed")
    cut.to_html(tmp_path / "page.html")
    whole.to_html(tmp_path / "whole.html")
    assert "…" in (tmp_path / "page.html").read_text()
    longest = max(re.findall(r"[^<>]+", (tmp_path / "whole.html").read_text()), key=_escapes)
    assert _escapes(longest) <= 500 // 4


def _escapes(text: str) -> int:
    return text.count("\\2")


def test_long_search_lists_leave_space_for_fewer_rows(capture: str) -> None:
    whole, cut = analyze(capture), analyze(capture, limits=["row_characters=300"])
    every, kept = rows(whole, "clients"), rows(cut, "clients")
    written = [sum(map(len, c.search)) for c in whole.client_rows]
    few = next(n for n in range(1, 8) if sum(written[: n + 1]) > 150)
    assert 1 <= few < 7
    assert kept[:few] == every[:few] and len(kept) == few + 1
    assert kept[few]["client_addr"] == OTHER_CLIENTS and totals(kept) == totals(every)
    assert any(
        w.startswith(f"{7 - few} rows of clients") and "limit row_characters=300" in w
        for w in cut.warnings
    )


def test_parts_of_clients_do_not_show_where_rows_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a client whose list is too long, one that wastes less has no row, though its fits."""
    works = in_namespaces(["n" * long for long in (1, 50, 2, 40, 1, 60, 3)])
    path = write_together(works, tmp_path)
    every = [c.client_addr for c in analyze(path).client_rows]
    for most in range(60, 1000, 40):
        limits = [f"row_characters={most}"]
        whole = [c.client_addr for c in analyze(path, limits=limits).client_rows]
        with monkeypatch.context() as alone:  # each client is a part of its own
            alone.setattr("pcapkit.analysis.exchanges.store.PART", 16)
            in_parts = [c.client_addr for c in analyze(path, limits=limits).client_rows]
        assert whole == in_parts == every[: len(whole)]


def test_servers_beyond_the_limit_are_one_row(tmp_path: Path) -> None:
    frames = [
        build.ethernet(build.ipv4(build.udp(build.query(ident=n)), target=f"10.96.0.{server}"))
        for server in range(1, 8)
        for n in range(server)
    ]
    path = build.save(tmp_path, build.pcap(build.packets(*frames, step=build.SECOND * 60)))
    whole, cut = analyze(path), analyze(path, limits=["servers=3"])
    every, kept = whole.vantage.servers, cut.vantage.servers
    assert len(every) == 7 and kept[:3] == every[:3] and len(kept) == 4
    assert kept[3].server_addr == OTHER_SERVERS
    assert sum(s.queries for s in kept) == sum(s.queries for s in every) == whole.waste.queries
    assert any(w.startswith("4 servers") and "limit servers=3" in w for w in cut.warnings)
    assert parts(cut) | {"vantage": 0} == parts(whole) | {"vantage": 0}


def test_clients_without_rows_count_for_the_other_servers(tmp_path: Path) -> None:
    frames = [
        build.ethernet(build.ipv4(build.udp(build.query()), source=client, target=f"10.96.0.{n}"))
        for client in CLIENTS
        for n in range(1, 4)
    ]
    path = build.save(tmp_path, build.pcap(build.packets(*frames, step=build.SECOND * 60)))
    others = analyze(path, limits=["servers=1", "clients=2"]).vantage.servers[-1]
    assert (others.server_addr, others.clients, others.queries) == (OTHER_SERVERS, 7, 14)


def test_those_that_waste_most_have_plans_of_their_own(tmp_path: Path) -> None:
    """Each namespace has one client, and each wastes more than the one before."""
    works = in_namespaces([f"ns{n}" for n in range(len(CLIENTS))])
    path = write_together(works, tmp_path)
    whole, cut = analyze(path), analyze(path, limits=["plans=2"])
    subjects = {p.subject for p in whole.plans if p.subject}
    assert subjects == {f"ns{n}" for n in range(7)}
    assert {p.subject for p in cut.plans if p.subject} == {"ns5", "ns6"}
    assert [p for p in cut.plans if not p.subject] == [p for p in whole.plans if not p.subject]
    (said,) = (w for w in cut.warnings if "limit plans=2" in w)
    assert said.startswith("5 workloads, namespaces or clients that waste least have no plan")
    few = analyze(path, limits=["recommendations=1"])
    assert few.recommendations == whole.recommendations[:1] and len(whole.recommendations) > 1
    assert any(
        w.startswith(f"{len(whole.recommendations) - 1} recommendations")
        and "limit recommendations=1" in w
        for w in few.warnings
    )


def test_findings_and_plans_name_no_more_clients_than_have_rows(capture: str) -> None:
    cut = analyze(capture, limits=["clients=2"])
    assert all(len(p.clients) <= 2 for p in cut.plans)
    assert all(len(a.clients) <= 2 for a in cut.recommendations)
    for finding, uncut in zip(cut.findings, analyze(capture).findings, strict=True):
        assert finding.clients == uncut.clients[:2]
        assert finding.concerns == len(uncut.clients)


def test_clients_that_waste_most_have_what_if_rows(capture: str) -> None:
    whole = analyze(capture)
    each = [w.client_addr for w in whole.what_if_rows if w.client_addr == CLIENTS[-1]]
    cut = analyze(capture, limits=[f"what_if={2 * len(each) + 1}"])
    assert {w.client_addr for w in cut.what_if_rows} == {None, *CLIENTS[-2:]}
    assert cut.what_if_rows == whole.what_if_rows[: len(cut.what_if_rows)]
    (said,) = (w for w in cut.warnings if "limit what_if=" in w)
    assert said.startswith("5 clients of those that waste least have no what-if rows")


def test_warnings_beyond_the_limit_are_counted(tmp_path: Path) -> None:
    """Each link type that is not known is warned about."""
    blocks = [build.ng_section()]
    for n in range(6):
        blocks.append(build.ng_interface(linktype=3000 + n))
        blocks.append(build.ng_packet(build.packets(b"abc")[0], interface=n))
    path = build.save(tmp_path, b"".join(blocks), "c.pcapng")
    whole, cut = analyze(path), analyze(path, limits=["warnings=2"])
    assert sum("is not known here" in w for w in whole.warnings) == 6
    assert cut.warnings[:2] == whole.warnings[:2]
    assert len(cut.warnings) == 3
    assert cut.warnings[2].startswith(f"{len(whole.warnings) - 2} further warnings")
    assert "limit warnings=2" in cut.warnings[2]


def test_a_table_of_the_page_has_so_many_rows(capture: str, tmp_path: Path) -> None:
    pages = {}
    for rows_of_page in (2, 500):
        analysis = analyze(capture, limits=[f"page_rows={rows_of_page}"])
        analysis.to_html(tmp_path / "page.html")
        pages[rows_of_page] = (tmp_path / "page.html").read_text()
    names = len(analyze(capture).name_rows)
    assert f"first 2 of {names}" in pages[2] and "first 2 of 7" in pages[2]
    assert "first 2 of" not in pages[500]


def test_nothing_changes_below_a_limit(capture: str) -> None:
    whole, same = analyze(capture), analyze(capture, limits=["clients=7", "names=9"])
    assert same.to_json().replace('{"limits":{"clients":7,"names":9}}', "{}") == whole.to_json()


def test_several_parts_keep_what_one_keeps(capture: str, tmp_path: Path) -> None:
    once = analyze(capture, limits=["clients=2"])
    content = Path(capture).read_bytes()
    twice = build.save(tmp_path, content, Path(capture).name)
    again = analyze(twice, limits=["clients=2"])
    assert parts(once) | {"captures": 0} == parts(again) | {"captures": 0}


@pytest.mark.parametrize("name", COMPRESSORS)
def test_input_that_expands_too_much_ends_there(name: str, capture: str, tmp_path: Path) -> None:
    content = Path(capture).read_bytes()
    bomb = build.save(tmp_path, COMPRESSORS[name](content + ZEROS), "bomb")
    for limits, said in (
        (LOW, "limit expansion_ratio=20"),
        (("expanded_bytes=1000000",), "limit expanded_bytes=1000000"),
    ):
        cut = analyze(bomb, limits=limits)
        assert cut.waste == analyze(capture).waste
        assert cut.captures[0].truncated_tail
        assert any(said in w for w in cut.warnings), cut.warnings
    assert not any("limit" in w for w in analyze(bomb).warnings)  # below all of them


@pytest.mark.parametrize("name", COMPRESSORS)
def test_input_that_is_compressed_twice_is_refused(name: str, capture: str, tmp_path: Path) -> None:
    content = gzip.compress(Path(capture).read_bytes())
    path = build.save(tmp_path, COMPRESSORS[name](content), "twice")
    with pytest.raises(InputError, match="compressed more than 1 time .limit compression_layers=1"):
        analyze(path)
    whole = analyze(path, limits=["compression_layers=2"])
    assert whole.waste == analyze(capture).waste


def test_continuation_lines_of_one_packet_end(tmp_path: Path) -> None:
    query = "2024-01-01 12:00:00.000001 IP 10.0.0.5.4711 > 10.96.0.10.53: 46+ A? a.example. (27)\n"
    other = "2024-01-01 12:00:00.000002 IP 10.0.0.5.4000 > 10.0.0.6.80: Flags [P.], seq 1:9\n"
    text = query + other + "    goes on and on\n" * 200
    path = build.save(tmp_path, text.encode(), "t.txt")
    whole, cut = analyze(path), analyze(path, limits=["continuation_characters=500"])
    assert whole.packets.total == 2 and whole.waste == cut.waste
    assert cut.packets.skipped["other_event"] > 100
    assert cut.packets.total == 1 + sum(cut.packets.skipped.values())


def test_fragments_that_wait_have_a_limit(tmp_path: Path) -> None:
    """Of datagrams whose fragments cross, as many are put together as may wait at one time."""
    frames = []
    asked = [build.udp(build.query(f"{'abcd'[n] * 60}.n{n}.example", ident=n)) for n in range(4)]
    for first in (True, False):
        for n, datagram in enumerate(asked):
            piece = datagram[:64] if first else datagram[64:]
            frames.append(
                build.ethernet(
                    build.ipv4(piece, ident=n + 1, fragment=0x2000 if first else 64 // 8)
                )
            )
    path = build.save(tmp_path, build.pcap(build.packets(*frames)))
    whole, cut = analyze(path), analyze(path, limits=["fragmented_datagrams=2"])
    assert all(n.base_name.endswith(".example") for n in whole.name_rows)
    assert len(cut.name_rows) == 4  # of a first fragment what it shows
    assert all(n.base_name.endswith("…") for n in cut.name_rows)
    assert cut.packets.total == cut.packets.with_messages + sum(cut.packets.skipped.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clients", "write it as clients=100000"),
        ("clients=0", "1 or more"),
        ("clients=many", "write it as"),
        ("clients=" + "9" * 30, "write it as"),
        ("client=5", "'client' is no limit"),
        ("name_types=65537", "it is 65,536 at most; there are no more types"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(text: str, said: str, capture: str) -> None:
    with pytest.raises(UsageError, match=said):
        analyze(capture, limits=[text])


def test_explain_lists_every_limit_and_says_what_each_does() -> None:
    listing = CliRunner().invoke(cli, ["explain", "limits"]).output
    for limit in listed():
        assert f"\n{limit.name}  ({limit.value:,} {limit.unit}" in listing
        told = CliRunner().invoke(cli, ["explain", limit.name])
        assert told.exit_code == 0 and "(limit)" in told.output
    assert {f.name for f in fields(Limits)} == {r.name for r in listed()}


def test_the_documentation_says_what_explain_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    for limit in listed():
        cells = f"`{limit.name}`", f"{limit.value:,} {limit.unit}", limit.of, limit.crossed
        assert f"| {' | '.join(cells)} |" in page


def test_limits_stand_in_a_file_as_well(
    capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pcapkit.toml").write_text('[analyze]\nlimit = ["clients=2", "names=3"]\n')
    monkeypatch.chdir(tmp_path)
    done = json.loads(CliRunner().invoke(cli, ["analyze", "--json", capture]).stdout)
    assert done["options"] == {"limits": {"clients": 2, "names": 3}}
    assert (len(done["clients"]), len(done["names"])) == (3, 4)
