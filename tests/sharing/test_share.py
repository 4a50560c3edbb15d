"""Captures with pseudonyms: what is said of them is what was said of the originals."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest
from click.testing import CliRunner

import pcapkit
from pcapkit.cli.root import cli
from pcapkit.limits import DEFAULTS, parse_limits
from pcapkit.sharing import streams
from pcapkit.sharing.addresses import Addresses
from pcapkit.sharing.key import Key, key_of
from pcapkit.sharing.names import Names
from pcapkit.sharing.share import share
from tests.build import ask, ethernet, framed, ipv4, packets, pcap, query, save, tcp
from tests.sharing.mapped import Mapped, comparable, words_of

TSHARK = shutil.which("tshark")
CAPTURES = Path(__file__).resolve().parents[2] / "captures"
LAB = CAPTURES / "lab"
SECRET = "0123456789abcdeffedcba98765432101032547698badcfeefcdab8967452301" + "5a" * 16
KEY = key_of(bytes.fromhex(SECRET))


def key() -> Key:
    return KEY


@pytest.mark.parametrize(
    ("secret", "address", "expected"),
    [
        (SECRET[:64], "0.0.0.0", "151.82.155.134"),
        (SECRET[:64], "255.255.255.255", "94.185.169.89"),
        (SECRET[:64], "192.0.2.1", "100.115.72.131"),
        (SECRET[:64], "2001:db8::1", "c180:5dd4:2587:3524:30ab:fa65:6ab6:f88"),
        (
            "2b7e151628aed2a6abf7158809cf4f3ca9f5ba40db214c3798f2e1c23456789a",
            "10.0.0.129",
            "19.214.210.80",
        ),
        (
            "2b7e151628aed2a6abf7158809cf4f3ca9f5ba40db214c3798f2e1c23456789a",
            "2001:db8:d8b4:0:193c:a5e7:8b2f:46d1",
            "7cec:702c:f840:aa67:1b8:e84f:ac9d:77fb",
        ),
    ],
)
def test_addresses_are_encrypted_as_the_draft_says(
    secret: str, address: str, expected: str
) -> None:
    addresses = Addresses(key_of(bytes.fromhex(secret + "00" * 16)))
    assert addresses.encrypt(ip_address(address).packed) == ip_address(expected).packed


def test_addresses_keep_their_class_and_their_neighbours() -> None:
    addresses = Addresses(KEY)
    seen = set()
    for network in ("10.", "192.168.", "100.64.", "172.16.", "169.254.", "8.8."):
        size = 4 - network.count(".")
        for k in range(300):
            tail = ".".join(str((k * 37 + n * 11) % 256) for n in range(size))
            old = ip_address(network + tail)
            new = ip_address(addresses.ip(old.packed))
            assert (new.is_private, new.is_link_local, new.is_global) == (
                old.is_private,
                old.is_link_local,
                old.is_global,
            ), (old, new)
            seen.add((old, new))
    assert len({old for old, _ in seen}) == len({new for _, new in seen})
    for kept in ("127.0.0.1", "169.254.20.10", "224.0.0.251", "255.255.255.255", "::1"):
        assert addresses.ip(ip_address(kept).packed) == ip_address(kept).packed
    one, other = (
        int(ip_address(addresses.ip(ip_address(a).packed))) for a in ("9.9.9.8", "9.9.9.9")
    )
    assert one ^ other == 1


def mapped(name: str) -> str:
    labels = [label.encode() for label in name.split(".")]
    return b".".join(Names(KEY, Addresses(KEY)).labels(labels).mapped).decode()


def test_names_keep_what_the_analysis_reads() -> None:
    base, listed = mapped("api.shop"), mapped("api.shop.team.svc.cluster.local")
    assert listed.startswith(base + ".") and listed.endswith(".svc.cluster.local")
    assert [len(label) for label in listed.split(".")] == [3, 4, 4, 3, 7, 5]
    assert "team" not in listed
    assert mapped("www.example.co.uk").endswith(".co.uk")
    assert mapped("city.kawasaki.jp") == "city.kawasaki.jp"
    assert mapped("_http._tcp.web.team").startswith("_http._tcp.")
    address = ip_address(Addresses(KEY).ip(ip_address("10.244.1.7").packed))
    assert mapped("10-244-1-7.team.pod.cluster.local").startswith(str(address).replace(".", "-"))
    assert mapped("7.1.244.10.in-addr.arpa") == address.reverse_pointer
    long = ip_address("2001:db8::7")
    assert mapped(long.reverse_pointer) == (
        ip_address(Addresses(KEY).ip(long.packed)).reverse_pointer
    )


def test_labels_never_meet() -> None:
    names = Names(KEY, Addresses(KEY))
    for length in (1, 2, 3):
        labels = [bytes(t) for t in _strings(length)]
        out = {names.labels([label]).mapped[0] for label in labels}
        assert len(out) == len(labels)
        assert {len(label) for label in out} == {length}
    long = [b"host%d" % k for k in range(3000)]
    assert len({names.labels([label]).mapped[0] for label in long}) == len(long)


def _strings(length: int) -> list[tuple[int, ...]]:
    from itertools import product

    alphabet = b"abcdefghijklmnopqrstuvwxyz0123456789-_" if length < 3 else b"acmosu19-"
    return list(product(alphabet, repeat=length))


@pytest.mark.parametrize(
    "name", sorted(p.name for p in LAB.glob("*.pcap*") if "truth" not in p.name)
)
def test_the_analysis_stays(name: str, tmp_path: Path) -> None:
    out = tmp_path / "shared.pcap"
    share(str(LAB / name), out, key)
    before, after = pcapkit.analyze(str(LAB / name)), pcapkit.analyze(str(out))
    names = {str(n) for n in before.transactions["qname"].dropna()}
    names |= {str(n) for n in before.lookups["base_name"].dropna()}
    whole = Mapped(KEY, words_of(sorted(names)))
    for part in ("packets", "messages", "transactions", "lookups", "waste", "clients", "what_if"):
        expected = comparable(whole.value(json.loads(before.to_json())[part]))
        assert comparable(json.loads(after.to_json())[part]) == expected, part


def test_packets_of_many_headers_are_written_as_far_as_the_limit_says(tmp_path: Path) -> None:
    frame = ethernet(ask(query("www.example.com")), tags=[(0x8100, n) for n in range(60)])
    source, out = save(tmp_path, pcap(packets(frame)), "tags.pcap"), tmp_path / "shared.pcap"
    more = parse_limits(["tunnel_layers=70"])
    seen = []
    for limits in (DEFAULTS, more):
        share(source, out, key, limits=limits)
        seen.append(pcapkit.analyze(out, limits=["tunnel_layers=70"]).message_counts.queries)
    assert seen == [0, 1]


def test_streams_whose_past_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that ends amid a message is written whole, however little is kept meanwhile."""
    content = framed(query("first.example.com"), query("second.example.com", ident=2))
    halves = content[:50], content[50:]
    other = framed(query("other.example.com", ident=3))
    segments = [
        tcp(halves[0]),
        *(tcp(other, port) for port in range(41000, 41005)),
        tcp(halves[1], sequence=1050),
    ]
    frames = [ethernet(ipv4(segment, protocol=6, ident=n)) for n, segment in enumerate(segments)]
    source = save(tmp_path, pcap(packets(*frames)), "streams.pcap")
    whole, little = tmp_path / "whole.pcap", tmp_path / "little.pcap"
    share(source, whole, key)
    monkeypatch.setattr(streams, "_ALL_KEPT_BYTES", 50)
    share(source, little, key)
    assert pcapkit.analyze(whole).message_counts.queries == 7
    assert little.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("name", ["whatif_w1_glibc_ndots5.pcap", "fault_truncated_tcp.pcap"])
def test_no_original_is_left_in_the_bytes(name: str, tmp_path: Path) -> None:
    source = LAB / name
    out = tmp_path / "shared.pcap"
    share(str(source), out, key)
    raw = out.read_bytes().lower()
    analysis = pcapkit.analyze(str(source))
    table = Names(KEY, Addresses(KEY))
    found = 0
    for qname in {str(n).lower() for n in analysis.transactions["qname"].dropna()}:
        labels = [label.encode() for label in qname.rstrip(".").split(".")]
        for old, new in zip(labels, table.labels(labels).mapped, strict=True):
            if old != new and len(old) >= 4:
                found += 1
                assert old not in raw, old
    for client in set(analysis.lookups["client_addr"]):
        assert ip_address(client).packed not in raw
    assert found


@pytest.mark.skipif(TSHARK is None, reason="tshark is not installed")
@pytest.mark.parametrize("name", ["whatif_w1_glibc_ndots5.pcap", "fault_truncated_tcp.pcap"])
def test_tshark_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    source = LAB / name
    out = tmp_path / "shared.pcap"
    share(str(source), out, key)
    wrong = "_ws.malformed || _ws.expert.severity == error"
    checks = [f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "udp", "tcp")]

    def count(path: Path) -> int:
        run = subprocess.run(
            [str(TSHARK), "-r", str(path), "-Y", wrong, *checks], capture_output=True, check=True
        )
        return len(run.stdout.splitlines())

    assert count(out) <= count(source)


def test_the_command_says_what_it_did(tmp_path: Path) -> None:
    source = str(CAPTURES / "lab" / "whatif_w1_glibc_ndots5.pcap")
    out = tmp_path / "shared.pcap"
    run = CliRunner().invoke(cli, ["share", source, "-o", str(out)])
    assert run.exit_code == 0, run.output
    key_file = tmp_path / "shared.pcap.key"
    assert stat.S_IMODE(os.stat(key_file).st_mode) == 0o600
    assert re.fullmatch("[0-9a-f]{96}\n", key_file.read_text())
    assert "pseudonymous, not anonymous" in " ".join(run.stderr.split())
    again = tmp_path / "again.pcap"
    CliRunner().invoke(cli, ["share", source, "-o", str(again), "--key", str(key_file)])
    assert again.read_bytes() == out.read_bytes()


def test_what_is_no_packet_capture_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "tcpdump.txt"
    log.write_text("10:00:00.000000 IP 10.0.0.1.4000 > 10.0.0.2.53: 1+ A? a.example.com. (31)\n")
    run = CliRunner().invoke(cli, ["share", str(log), "-o", str(tmp_path / "out.pcap")])
    assert run.exit_code != 0
    assert not (tmp_path / "out.pcap.key").exists() and not (tmp_path / "out.pcap").exists()


def test_reports_take_the_same_stand_ins(tmp_path: Path) -> None:
    source = str(LAB / "whatif_w1_glibc_ndots5.pcap")
    key_file = tmp_path / "key"
    key_file.write_text(SECRET)
    out = tmp_path / "shared.pcap"
    share(source, out, key)
    run = CliRunner().invoke(cli, ["analyze", source, "--json", "--pseudonymize", str(key_file)])
    assert run.exit_code == 0, run.output
    shown, expected = json.loads(run.stdout), json.loads(pcapkit.analyze(str(out)).to_json())
    for part in ("transactions", "lookups", "clients", "names", "what_if", "findings"):
        assert comparable(shown[part]) == comparable(expected[part]), part
    assert "172.41.10.200" not in run.stdout and "baidu" not in run.stdout
    table = CliRunner().invoke(
        cli, ["export", source, "-t", "messages", "--pseudonymize", str(key_file)]
    )
    assert "baidu" not in table.stdout and "172.41.10.200" not in table.stdout
    refused = CliRunner().invoke(
        cli, ["analyze", source, "--search", "a.b", "--pseudonymize", str(key_file)]
    )
    assert refused.exit_code != 0


def test_without_the_library_no_key_is_made(tmp_path: Path) -> None:
    command = (
        'import sys; sys.modules["cryptography"] = None; from pcapkit.cli.main import main; main()'
    )
    capture, out = str(LAB / "whatif_w1_glibc_ndots5.pcap"), str(tmp_path / "out.pcap")
    done = subprocess.run(
        [sys.executable, "-c", command, "share", capture, "-o", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "pip install 'pcapkit-dns[share]'" in done.stderr
    assert list(tmp_path.iterdir()) == []
