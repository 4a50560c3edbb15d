"""Tallies: a capture cut anywhere, merged in any order, is the capture read at once."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import pcapkit
from pcapkit.batch.tallies import parts
from pcapkit.batch.tallies.merge import join_tallies, merge, write_tally
from pcapkit.errors import InputError, UsageError
from pcapkit.ingest.inputs.recognise import TALLY_KIND
from pcapkit.ingest.tallies.chain import Misplaced
from pcapkit.ingest.window import Span
from tests import build
from tests.cli.test_cli import LAB, run

CAPTURES = sorted(p for p in LAB.iterdir() if p.suffix in (".pcap", ".pcapng"))


def whole(path: str) -> str:
    return pcapkit.analyze(path).to_json()


def tallies_of(path: str, folder: Path, cuts: list[int], *, exact: bool = False) -> list[Path]:
    bounds = [0, *cuts, None]
    spans = [Span(first or 0, stop, exact) for first, stop in zip(bounds, bounds[1:], strict=False)]
    return [write_tally(path, folder, span=span)[0] for span in spans]


def merged(path: str, folder: Path, tallies: list[Path]) -> str:
    """Merge; parts that begin in the middle of a record are made again, as an audit does."""
    return parts.merge_parts(tuple(map(str, tallies)), path, pcapkit.Options()).to_json()


def records_of(content: bytes) -> list[int]:
    """Return where each record of a little-endian pcap begins, less the first."""
    at, out = 24, []
    while at < len(content):
        out.append(at)
        at += 16 + struct.unpack_from("<I", content, at + 8)[0]
    return out[1:]


def sequences(folder: Path) -> dict[str, str]:
    """Captures in which packets need others: fragments, and messages in several segments."""
    query = build.query("www.example.com", ident=7)
    long = build.response("www.example.com", ident=7, answers=[build.address_record()] * 30)
    datagram = build.udp(long, 53, 40000)
    pieces = [datagram[at : at + 160] for at in range(0, len(datagram), 160)]
    fragments = [
        build.ipv4(
            piece,
            build.SERVER,
            build.CLIENT,
            ident=99,
            fragment=160 * n // 8 | (0x2000 if n + 1 < len(pieces) else 0),
        )
        for n, piece in enumerate(pieces)
    ]
    fragments[1:1] = [build.ask(build.query("other.example.com", ident=8), port=40001)]
    stream = build.framed(query, build.query("b.example.com", ident=9))
    segments = [
        build.ipv4(
            build.tcp(stream[at : at + 20], 40002, 53, sequence=1 + at), protocol=6, ident=at
        )
        for at in range(0, len(stream), 20)
    ]
    frames = {"fragments": [build.ask(query), *fragments], "segments": segments}
    return {
        name: build.save(
            folder, build.pcap(build.packets(*map(build.ethernet, of))), f"{name}.pcap"
        )
        for name, of in frames.items()
    }


@pytest.mark.parametrize("path", CAPTURES, ids=lambda p: p.name)
def test_any_bytes_may_cut_it(path: Path, tmp_path: Path) -> None:
    chance, size, expected = random.Random(path.name), path.stat().st_size, whole(str(path))
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        cuts = sorted({chance.randrange(1, size) for _ in range(3)})
        tallies = tallies_of(str(path), folder, cuts)
        chance.shuffle(tallies)
        assert merged(str(path), folder, tallies) == expected, cuts


@pytest.mark.parametrize("kind", ["fragments", "segments"])
def test_what_lies_across_packets_may_be_cut(kind: str, tmp_path: Path) -> None:
    path = sequences(tmp_path)[kind]
    expected = whole(path)
    assert json.loads(expected)["messages"]["total"] == 2 + (kind == "fragments")
    for cut in records_of(Path(path).read_bytes()):
        folder = tmp_path / str(cut)
        folder.mkdir()
        assert merged(path, folder, tallies_of(path, folder, [cut], exact=True)) == expected


def test_any_order_and_any_tree(tmp_path: Path) -> None:
    path = str(LAB / "multi6_any_sll2.pcap")
    size = Path(path).stat().st_size
    tallies = tallies_of(path, tmp_path, [size // 5, size // 2, size * 2 // 3])
    joined = [tmp_path / name for name in ("a", "b", "c", "d")]
    join_tallies([str(tallies[3]), str(tallies[0])], joined[0])
    join_tallies([str(tallies[2]), str(tallies[1]), str(tallies[3])], joined[1])
    join_tallies([str(joined[0]), str(joined[1])], joined[2])
    join_tallies([str(joined[1]), str(joined[0])], joined[3])
    assert joined[2].read_bytes() == joined[3].read_bytes()
    expected = merge(*tallies).to_json()
    assert merge(*reversed(tallies)).to_json() == expected == whole(path)
    assert merge(joined[2]).to_json() == expected
    assert merge(joined[1], joined[0], tallies[0]).to_json() == expected


def test_several_captures_are_read_as_analyze_reads_them(tmp_path: Path) -> None:
    paths = [str(p) for p in sorted((LAB.parent / "six-traces").glob("*.pcap"))]
    tallies = [write_tally(path, tmp_path)[0] for path in reversed(paths)]
    assert merge(*tallies).to_json() == pcapkit.analyze(*paths).to_json()


@pytest.mark.parametrize("name", ["fmt_text_vv_tt.txt", "fmt_dumpcap.pcapng.gz"])
def test_logs_and_compressed_captures_have_tallies_of_all_of_them(
    name: str, tmp_path: Path
) -> None:
    path = str(LAB / name)
    assert merge(write_tally(path, tmp_path)[0]).to_json() == whole(path)
    with pytest.raises(UsageError, match="leave --range out"):
        write_tally(path, tmp_path, span=Span(0, 1000))


def test_connections_go_on_in_the_next_capture(tmp_path: Path) -> None:
    content = Path(sequences(tmp_path)["segments"]).read_bytes()
    cut = records_of(content)[1]
    files = [
        build.save(tmp_path, content[:cut], "one.pcap"),
        build.save(tmp_path, content[:24] + content[cut:], "two.pcap"),
    ]
    expected = pcapkit.analyze(*files).to_json()
    assert json.loads(expected)["messages"]["total"] == 2
    assert merge(*(write_tally(path, tmp_path)[0] for path in files)).to_json() == expected


def test_rotated_files_may_begin_alike(tmp_path: Path) -> None:
    many = build.ng_section() + build.ng_interface() * 300
    talk = build.conversation()
    later = [build.Packet(p.data, p.time + build.SECOND) for p in talk]
    files = [
        build.save(tmp_path, many + b"".join(map(build.ng_packet, of)), f"{n}.pcapng")
        for n, of in enumerate((talk, later))
    ]
    tallies = []
    for path in files:
        size = Path(path).stat().st_size
        tallies += tallies_of(path, tmp_path, [size - 300])
    assert merge(*tallies).to_json() == pcapkit.analyze(*files).to_json()


def test_a_capture_that_grew_between_its_parts(tmp_path: Path) -> None:
    content = (LAB / "multi6_any_sll2.pcap").read_bytes()
    cut = next(at for at in records_of(content) if at > 5000)
    path = build.save(tmp_path, content[:cut])
    first = write_tally(path, tmp_path, span=Span(0, cut))[0]
    build.save(tmp_path, content)
    second = write_tally(path, tmp_path, span=Span(cut, None))[0]
    assert merge(second, first).to_json() == whole(path)


def test_a_capture_is_never_written_over(tmp_path: Path) -> None:
    path = build.save(tmp_path, build.pcap(build.conversation()))
    before = Path(path).read_bytes()
    out = run("tally", path, "-o", path)
    assert out.returncode == 2 and b"is no tally" in out.stderr
    assert Path(path).read_bytes() == before


def test_the_same_input_gives_the_same_file(tmp_path: Path) -> None:
    path = str(LAB / "multi6_any_sll2.pcap")
    one, two = tmp_path / "one", tmp_path / "two"
    write_tally(path, one)
    write_tally(path, two)
    assert one.read_bytes() == two.read_bytes()
    named, _ = write_tally(path, tmp_path)
    assert named.name.startswith("multi6_any_sll2-") and named.suffix == ".tally"


def test_payload_full_of_fake_headers(tmp_path: Path) -> None:
    seconds = build.START_NS // build.SECOND
    inner = struct.pack("<IIIIB", seconds, 5, 1, 1, 7) * 100  # a chain of records of one byte
    talk = [build.ethernet(build.ipv4(build.udp(inner[:1400], 5000, 5001))) for _ in range(40)]
    asked = [
        build.ethernet(build.ask(build.query(f"n{n}.example.com", ident=n), port=41000 + n))
        for n in range(40)
    ]
    frames = [frame for pair in zip(talk, asked, strict=True) for frame in pair]
    path = build.save(tmp_path, build.pcap(build.packets(*frames)), "fake.pcap")
    expected, size = whole(path), Path(path).stat().st_size
    wrong = 0
    for number, cut in enumerate(range(300, size, size // 12)):
        folder = tmp_path / str(number)
        folder.mkdir()
        tallies = tallies_of(path, folder, [cut])
        try:
            merge(*tallies)
        except Misplaced as misplaced:
            wrong += 1
            assert misplaced.first in records_of(Path(path).read_bytes())
        assert merged(path, folder, tallies) == expected
    assert wrong, "no guess was wrong: the payload deceives nobody"


def test_parts_that_overlap_are_no_trouble(tmp_path: Path) -> None:
    path = str(LAB / "whatif_w1_glibc_ndots5.pcap")
    first, second = tallies_of(path, tmp_path, [5000])
    longer = write_tally(path, tmp_path, span=Span(0, 6000))[0]
    assert merge(longer, second, first).to_json() == whole(path)


def test_the_name_of_a_capture_may_be_no_text(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.pcap")
    try:
        shutil.copy(LAB / "whatif_w1_glibc_ndots5.pcap", path)
    except OSError:
        pytest.skip("names of files are text here")
    first, second = tallies_of(path, tmp_path, [40_000])
    assert merged(path, tmp_path, [second, first]) == whole(path)


def test_what_cannot_be_read_and_what_cannot_be_written_are_told_apart(tmp_path: Path) -> None:
    cut, target = tmp_path / "cut.pcap", tmp_path / "out.tally"
    code = "from pcapkit.cli.main import main; main()"
    content = (LAB / "whatif_w1_glibc_ndots5.pcap").read_bytes()
    cut.write_bytes(content[:20])

    def tally(path: Path, most: int) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code, "tally", str(path), "-o", str(target)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert not list(tmp_path.glob("*.tally*")) and not list(tmp_path.glob(".*"))
        return done.stderr

    said = tally(cut, 1 << 20)
    assert "cut.pcap: the file header is cut at byte 20" in said and "written" not in said
    cut.write_bytes(content)
    assert "out.tally: cannot be written: File too large" in tally(cut, 1 << 12)


def test_packets_of_which_nothing_was_captured_have_the_comments_of_no_others(
    tmp_path: Path,
) -> None:
    def netlink(packet: bytes) -> bytes:
        """What NFLOG sends, as link type 253 has it: such packets are kept as they are."""
        attribute = struct.pack("<HH", 4 + len(packet), 9) + packet
        message = struct.pack("<IH", 20 + len(attribute), 0x0400) + bytes(14) + attribute
        return bytes(14) + b"\0\x0c" + message

    comments = [build.ng_comments(*build.ptcpdump(name, pod=name)) for name in ("one", "two")]
    asked = [netlink(build.ask(build.query(name))) for name in ("a.example.com", "b.example.com")]
    packets = [(b"", 0), (asked[0], 1), (b"", 1), (asked[1], 0), (b"", 1)]
    blocks = [build.ng_section(), build.ng_interface(linktype=253)]
    for number, (data, comment) in enumerate(packets):
        packet = build.Packet(data, build.START_NS + number * build.MS)
        blocks.append(build.ng_packet(packet, options=comments[comment]))
    path = build.save(tmp_path, b"".join(blocks), "nothing.pcapng")
    expected = whole(path)
    clients = json.loads(expected)["clients"]
    assert [client["pod"] for client in clients] == ["one", "two"]
    for cuts in ([], [len(blocks[0] + blocks[1]) + 10], [600, 1000]):
        assert merged(path, tmp_path, tallies_of(path, tmp_path, cuts)) == expected


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    path = str(LAB / "multi6_any_sll2.pcap")
    first, second, third = tallies_of(path, tmp_path, [5000, 9000])
    with pytest.raises(InputError, match=r"bytes \d+ to 9000 .* --range"):
        merge(first, third)
    with pytest.raises(InputError, match="bytes 0 to 5000"):
        merge(second, third)
    with pytest.raises(InputError, match="to the end"):
        merge(first, second)


def test_torn_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    path = write_tally(str(LAB / "busybox_nslookup.pcap"), tmp_path)[0]
    content = path.read_bytes()
    bad = tmp_path / "bad"
    for data in (b"", content[:-1], content[: len(content) // 2], b"PK\3\4 something else"):
        bad.write_bytes(data)
        with pytest.raises(InputError, match="makes one|no tally, but a zip archive"):
            merge(bad)
    with pytest.raises(InputError, match="cannot be read"):
        merge(tmp_path / "nothing")
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("mimetype", TALLY_KIND)
        archive.writestr("tally.json", '{"schema": "pcapkit.tally/9", "parts": []}')
    with pytest.raises(InputError, match="pcapkit.tally/9, this pcapkit reads pcapkit.tally/2"):
        merge(bad)


def changed(path: Path, name: str, edit: Any) -> Path:
    """Return a copy of a tally with one member changed, its checksums right."""
    out = path.with_name("changed.tally")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info, edit(data) if info.filename == name else data)
    return out


def test_hostile_members_do_no_harm(tmp_path: Path) -> None:
    path = write_tally(str(LAB / "multi6_any_sll2.pcap"), tmp_path)[0]
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n != "mimetype"]
    chance = random.Random(5)
    for name in names:
        for _ in range(40):

            def flip(data: bytes) -> bytes:
                out = bytearray(data)
                for _ in range(chance.randrange(1, 6)):
                    out[chance.randrange(len(out))] = chance.randrange(256)
                return bytes(out)

            try:
                merge(changed(path, name, flip))
            except (InputError, UsageError):
                continue


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ports":[53]', b'"ports":[70000]'),
        (b'"packets":', b'"packets":-'),
        (b'"begins":', b'"begins":99999999999999999'),
        (b'"skipped":{', b'"skipped":{"no reason":1'),
        (b'"parts":[', b'"parts":[],"parts_":['),
    ],
)
def test_facts_that_are_none_are_refused(old: bytes, new: bytes, tmp_path: Path) -> None:
    path = write_tally(str(LAB / "busybox_nslookup.pcap"), tmp_path)[0]

    def edit(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new, 1)

    with pytest.raises(InputError, match="damaged"):
        merge(changed(path, "tally.json", edit))


def test_members_before_the_beginning_of_the_file_are_refused(tmp_path: Path) -> None:
    """The end of an archive says where its directory begins; too far, and members lie before 0."""
    path = write_tally(str(LAB / "busybox_nslookup.pcap"), tmp_path)[0]
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\5\6")
    (begin,) = struct.unpack_from("<I", content, end + 16)
    struct.pack_into("<I", content, end + 16, begin + len(content))
    path.write_bytes(content)
    with pytest.raises(InputError, match="no tally, or a damaged one"):
        merge(path)


def test_members_that_grow_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("mimetype"), TALLY_KIND)
        archive.writestr("tally.json", b" " * 1_000_000)
    with pytest.raises(InputError, match="compressed"):
        merge(path)


def test_what_failed_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.pcap").write_bytes(b"nothing of that kind")
    run("audit", str(tmp_path), "-o", str(tmp_path / "out"), "--shard", "0/1")
    (failed,) = (tmp_path / "out" / "tallies").glob("*.tally")
    with pytest.raises(InputError, match="no capture in it"):
        merge(failed)
    good = write_tally(str(LAB / "busybox_nslookup.pcap"), tmp_path)[0]
    joined = tmp_path / "joined"
    join_tallies([str(failed), str(good)], joined)
    assert any("bad.pcap" in warning for warning in merge(joined).warnings)


def test_names_that_run_out_of_a_tally_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa

    path = write_tally(str(LAB / "busybox_nslookup.pcap"), tmp_path)[0]

    def names(data: bytes) -> bytes:
        with pa.ipc.open_stream(data) as stream:
            count = stream.read_next_batch().num_rows
        sink = pa.BufferOutputStream()
        batch = pa.record_batch([pa.array([b"\x3fa"] * count, pa.large_binary())], names=["value"])
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        return sink.getvalue().to_pybytes()

    with pytest.raises(InputError, match="a name is malformed"):
        merge(changed(path, "0/names", names))


# ---- the commands -------------------------------------------------------------------------------


def test_tally_and_merge_on_the_command_line(tmp_path: Path) -> None:
    path = LAB / "whatif_w1_glibc_ndots5.pcap"
    for part in ("0:40000", "40000:"):
        run("tally", str(path), "-o", str(tmp_path), "--range", part)
    found = sorted(tmp_path.glob("*.tally"))
    assert len(found) == 2
    printed = run("merge", str(tmp_path), "--json").stdout
    assert printed.decode() == whole(str(path))
    out = run("merge", *map(str, found), "-o", str(tmp_path / "reports"), "--format", "json")
    assert out.returncode == 0 and b"62.8 %" in out.stdout
    report = tmp_path / "reports" / path.stem / "analysis.json"
    assert report.read_text() == whole(str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--range", "5:5"], "it is empty"),
        (["--range", "x:5"], "write it as FIRST:STOP"),
        (["--range", "7"], "write it as FIRST:STOP"),
        (["--range", " :99999999999999999999"], "write it as FIRST:STOP"),
        (["--range", "99999999:"], "behind its end"),
        (["--at-record"], "where a --range begins"),
    ],
)
def test_bad_ranges(arguments: list[str], message: str, tmp_path: Path) -> None:
    out = run("tally", str(LAB / "busybox_nslookup.pcap"), "-o", str(tmp_path), *arguments)
    assert out.returncode == 2 and message in out.stderr.decode()
    assert not list(tmp_path.iterdir())


def test_a_share_removes_what_a_killed_one_has_begun_to_write(tmp_path: Path) -> None:
    begun = tmp_path / "out" / "tallies" / f".{CAPTURES[0].stem}.0123.tally.1.pcapkit"
    begun.parent.mkdir(parents=True)
    begun.write_bytes(b"half a tally")
    run("audit", str(CAPTURES[0]), "-o", str(tmp_path / "out"), "--shard", "0/1")
    assert sorted(path.suffix for path in begun.parent.iterdir()) == [".json", ".tally"]


def test_a_share_is_tried_again_where_it_failed_or_is_torn(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.pcap").write_bytes(CAPTURES[0].read_bytes())
    (folder / "bad.pcap").write_bytes(b"nothing of that kind")
    arguments = "audit", str(folder), "-o", str(tmp_path / "out"), "--shard", "0/1"
    first = run(*arguments)
    written = {path: path.read_bytes() for path in (tmp_path / "out" / "tallies").iterdir()}
    for path in written:
        if path.name.startswith("good"):
            path.write_bytes(written[path][:-100])
    second = run(*arguments)
    assert (first.returncode, second.returncode) == (3, 3)
    assert b"bad.pcap" in first.stderr and b"bad.pcap" in second.stderr
    assert {path: path.read_bytes() for path in written} == written


def test_shares_of_many_machines_make_one_audit(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for source in CAPTURES[:5]:
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "bad.pcap").write_bytes(b"nothing of that kind")
    run("audit", str(folder), "-o", str(tmp_path / "local"), "--format", "json")
    shares = [tmp_path / f"share{n}" for n in range(3)]
    for number, share in enumerate(shares):
        run("audit", str(folder), "-o", str(share), "--shard", f"{number}/3")
    out = run("audit", *map(str, shares), "-o", str(tmp_path / "joined"), "--format", "json")
    assert out.returncode == 3  # of the bad one
    for name in ("audit.json", "audit.parquet", "index.html"):
        local, joined = (tmp_path / where / name for where in ("local", "joined"))
        assert local.read_bytes() == joined.read_bytes(), name
    assert b"3/3" in run("audit", str(folder), "--shard", "3/3").stderr
    refused = run("audit", str(folder), "--shard", "0/3", "--fail-on", "waste>1%")
    assert refused.returncode == 2 and b"belong to the audit of the tallies" in refused.stderr


def test_shares_are_made_of_captures(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write_tally(str(CAPTURES[0]), folder)
    out = run("audit", str(folder), "-o", str(tmp_path / "out"), "--shard", "0/1")
    assert out.returncode == 3 and b"a tally already" in out.stderr
    run("audit", str(CAPTURES[0]), "-o", str(tmp_path / "none"), "--shard", "1/2")
    assert not list((tmp_path / "none" / "tallies").glob("*.tally"))


def test_large_captures_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pcapkit.batch.audit import Audit
    from pcapkit.batch.engines.local import Local
    from pcapkit.batch.finding.catalog import find_items
    from pcapkit.batch.keeping.lock import locked

    monkeypatch.setattr(parts, "PART_BYTES", 10_000)
    path = LAB / "whatif_w1_glibc_ndots5.pcap"
    lead = Audit(tmp_path, ("json",), pcapkit.Options(), say=print, fail=print)
    engine = Local(2, prepare=lambda: None, look=lambda: None, say=print)
    with locked(tmp_path):
        index = lead.run(find_items([str(path)]), engine)
    assert [row.error for row in index.captures] == [None]
    report = tmp_path / path.stem / "analysis.json"
    assert report.read_text() == whole(str(path))
    assert len(list((tmp_path / "tallies").glob("*.tally"))) >= path.stat().st_size // 10_000
