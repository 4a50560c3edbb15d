"""The named limits, lowered: what is beyond one is summed, cut off or refused, and said."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
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
from pcapkit.limits import OTHER_CLIENTS, OTHER_NAMES, Limits, listed
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


def parts(analysis: Analysis) -> dict[str, object]:
    """Return the parts of the JSON that no limit of rows may change."""
    found = json.loads(analysis.to_json())
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


def test_the_page_and_the_tables_hold_the_rest_too(capture: str, tmp_path: Path) -> None:
    cut = analyze(capture, limits=["clients=3", "names=2"])
    assert list(cut.names["base_name"])[-1] == OTHER_NAMES
    assert cut.clients["queries"].sum() == cut.waste.queries
    cut.to_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "4 rows of clients that waste least are summed" in page


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
        ("tunnel_layers=5", "'tunnel_layers' cannot be changed"),
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
    assert {f.name for f in fields(Limits)} == {r.name for r in listed() if not r.fixed}


def test_the_documentation_says_what_explain_says() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reliability.md").read_text()
    for limit in listed():
        fixed = " (fixed)" if limit.fixed else ""
        cells = f"`{limit.name}`{fixed}", f"{limit.value:,} {limit.unit}", limit.of, limit.crossed
        assert f"| {' | '.join(cells)} |" in page


def test_limits_stand_in_a_file_as_well(
    capture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pcapkit.toml").write_text('[analyze]\nlimit = ["clients=2", "names=3"]\n')
    monkeypatch.chdir(tmp_path)
    done = json.loads(CliRunner().invoke(cli, ["analyze", "--json", capture]).stdout)
    assert done["options"] == {"limits": {"clients": 2, "names": 3}}
    assert (len(done["clients"]), len(done["names"])) == (3, 4)
