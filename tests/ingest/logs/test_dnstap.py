"""dnstap: frames written here by hand, after dnstap.proto and the framing of fstrm."""

from __future__ import annotations

import gzip
import importlib
import struct
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pcapkit.errors import InputError, NotACapture
from pcapkit.pipeline.analyze import analyze
from tests.build import (
    AAAA,
    CLIENT,
    CLIENT6,
    SERVER,
    START_NS,
    address_record,
    assert_ledger,
    load,
    open_only,
    opt_record,
    pcap,
    query,
    response,
    rows,
    save,
    soa_record,
    without,
)
from tests.ingest.logs.test_lines import lookups
from tests.ingest.packet.walks import as_packets, exchanges

pytest.importorskip("google.protobuf", reason="protobuf is not installed")

CONTENT = b"protobuf:dnstap.Dnstap"
ACCEPT, START, STOP, READY, FINISH = 1, 2, 3, 4, 5
AUTH_QUERY, RESOLVER_QUERY, CLIENT_QUERY, CLIENT_RESPONSE, FORWARDER_QUERY, STUB_QUERY = (
    1,
    3,
    5,
    6,
    7,
    9,
)
UDP, TCP, DOT, DOQ = 1, 2, 3, 7


def varint(value: int) -> bytes:
    """Return a number as Protocol Buffers write it: seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes, *, fixed: bool = False) -> bytes:
    """Return one field."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if fixed:
        return varint(number << 3 | 5) + struct.pack("<I", value)
    return varint(number << 3) + varint(value)


def tap(
    kind: int,
    dns: bytes | None,
    *,
    time: int = START_NS,
    client: str | None = CLIENT,
    server: str | None = SERVER,
    port: int = 40000,
    protocol: int = UDP,
) -> bytes:
    """Return a ``Dnstap`` with a ``Message`` of this kind."""
    answered = kind % 2 == 0
    inside = field(1, kind) + field(2, 1) + field(3, protocol)
    if client is not None:
        inside += field(4, ip_address(client).packed) + field(6, port)
    if server is not None:
        inside += field(5, ip_address(server).packed) + field(7, 53)
    seconds, rest = divmod(time, 1_000_000_000)
    inside += field(12 if answered else 8, seconds)
    inside += field(13 if answered else 9, rest, fixed=True)
    if dns is not None:
        inside += field(14 if answered else 10, dns)
    return field(1, b"ns1") + field(2, b"CoreDNS-1.11.1") + field(14, inside) + field(15, 1)


def control(kind: int, content: bytes | None = CONTENT) -> bytes:
    """Return a control frame."""
    body = struct.pack(">I", kind)
    if content is not None and kind not in (STOP, FINISH):
        body += struct.pack(">II", 1, len(content)) + content
    return struct.pack(">II", 0, len(body)) + body


def stream(frames: Iterable[bytes], *, handshake: bool = False) -> bytes:
    """Return a Frame Stream; ``handshake`` adds what a socket's two ends say first and last."""
    data = b"".join(struct.pack(">I", len(frame)) + frame for frame in frames)
    out = control(START) + data + control(STOP)
    return control(READY) + control(ACCEPT) + out + control(FINISH) if handshake else out


def walks() -> list[bytes]:
    """Return the conversation of ``tests/ingest/packet/walks.py`` as a server logs it."""
    found = []
    for e in exchanges():
        start = START_NS + e.at * 1_000
        dns = query(e.name, e.qtype, ident=e.ident)
        found.append((start, tap(CLIENT_QUERY, dns, time=start, port=e.port)))
        records = [address_record(e.address)] if e.address else []
        dns = response(
            e.name,
            e.qtype,
            ident=e.ident,
            rcode=e.rcode,
            answers=records,
            authority=[] if records else [soa_record()],
        )
        end = start + e.took * 1_000
        found.append((end, tap(CLIENT_RESPONSE, dns, time=end, port=e.port)))
    return [frame for _, frame in sorted(found)]


@pytest.fixture
def from_packets(tmp_path: Path) -> str:
    return save(tmp_path, pcap(as_packets()), "walks.pcap")


@pytest.mark.parametrize("handshake", [False, True])
def test_the_lookups_are_those_of_the_packets(
    handshake: bool, from_packets: str, tmp_path: Path
) -> None:
    path = save(tmp_path, stream(walks(), handshake=handshake), "dnstap.fstrm")
    pd.testing.assert_frame_equal(lookups(path), lookups(from_packets))
    wanted, found = analyze(from_packets), analyze(path)
    assert found.what_if_rows == wanted.what_if_rows
    assert found.client_rows == wanted.client_rows
    assert found.captures[0].format == "dnstap"


def test_messages_are_those_of_the_packets(from_packets: str, tmp_path: Path) -> None:
    path = save(tmp_path, stream(walks()), "dnstap.fstrm")
    assert without(rows(path), "interface") == without(rows(from_packets), "interface")
    assert_ledger(load(path))


def test_streams_behind_one_another_and_compressed_are_read(tmp_path: Path) -> None:
    frames = walks()
    whole = save(tmp_path, stream(frames), "whole")
    parts = gzip.compress(stream(frames[:9]) + stream(frames[9:], handshake=True))
    assert rows(save(tmp_path, parts, "parts")) == rows(whole)


@pytest.mark.parametrize("client", [CLIENT, SERVER, None])
def test_the_upstream_leg_is_counted_and_left_out(client: str | None, tmp_path: Path) -> None:
    """CoreDNS names the pod that asked it there; from 1.14.5 on its own socket (pull 8184)."""
    frames = [
        tap(CLIENT_QUERY, query("a.example", ident=1)),
        tap(FORWARDER_QUERY, query("a.example", ident=2), client=client, server="192.0.2.53"),
        tap(RESOLVER_QUERY, query("a.example", ident=3), client=None, server="192.0.2.53"),
    ]
    collected = load(save(tmp_path, stream(frames)))
    assert_ledger(collected)
    assert collected.skipped == {"upstream_leg": 2}
    assert collected.with_messages == 1


@pytest.mark.parametrize("kind", [AUTH_QUERY, CLIENT_QUERY, STUB_QUERY])
def test_every_view_of_the_client_leg_is_read(kind: int, tmp_path: Path) -> None:
    (row,) = rows(save(tmp_path, stream([tap(kind, query("a.example"))])))
    assert row["qname"] == "a.example" and row["client_addr"] == CLIENT


def test_both_ends_of_one_message_count_once(tmp_path: Path) -> None:
    frames = [tap(kind, query("a.example"), time=START_NS + kind) for kind in (5, 9)]
    collected = load(save(tmp_path, stream(frames)))
    assert (collected.with_messages, collected.duplicates) == (1, 1)


@pytest.mark.parametrize(
    ("protocol", "transport"), [(UDP, "udp"), (TCP, "tcp"), (DOT, "tcp"), (DOQ, "udp")]
)
def test_transports(protocol: int, transport: str, tmp_path: Path) -> None:
    frame = tap(CLIENT_QUERY, query("a.example"), protocol=protocol)
    assert rows(save(tmp_path, stream([frame])))[0]["transport"] == transport


def test_what_the_server_leaves_out_is_null(tmp_path: Path) -> None:
    frame = tap(
        CLIENT_QUERY,
        query("a.example", AAAA, additional=[opt_record(1232)]),
        client=CLIENT6,
        server=None,
    )
    (row,) = rows(save(tmp_path, stream([frame])))
    assert row["server_addr"] is None and row["server_port"] is None
    assert row["client_addr"] == CLIENT6 and row["edns_bytes"] == 1232


def test_frames_without_a_message_are_counted(tmp_path: Path) -> None:
    frames = [
        tap(CLIENT_QUERY, None),
        tap(CLIENT_QUERY, query("a.example"), client=None),
        tap(CLIENT_QUERY, b"\0" * 11),
        tap(CLIENT_QUERY, query("a.example"), time=0),
        b"\xff\xff",
        field(15, 2),
        tap(CLIENT_QUERY, query("b.example")),
    ]
    collected = load(save(tmp_path, stream(frames)))
    assert_ledger(collected)
    assert collected.skipped == {
        "message_not_included": 1,
        "no_client_address": 1,
        "malformed": 3,
        "other_event": 1,
    }
    assert collected.with_messages == 1
    assert any("full" in w for w in collected.warnings)


def test_a_cut_stream_keeps_what_came_before(tmp_path: Path) -> None:
    frames = walks()
    data = control(START) + b"".join(struct.pack(">I", len(f)) + f for f in frames)
    for cut in (1, 100, len(frames[-1]) + 2):
        collected = load(save(tmp_path, data[:-cut], f"cut{cut}"))
        assert collected.with_messages == len(frames) - 1
        assert collected.captures[0].truncated_tail
        assert any("the last frame is cut" in w for w in collected.warnings)
    unstopped = load(save(tmp_path, data, "unstopped"))  # the server is still writing
    assert unstopped.with_messages == len(frames) and not unstopped.captures[0].truncated_tail


@pytest.mark.parametrize("length", [1 << 21, 0xFFFFFFFF])
def test_a_frame_of_impossible_length_ends_the_reading(length: int, tmp_path: Path) -> None:
    good = walks()[0]
    data = control(START) + struct.pack(">I", len(good)) + good + struct.pack(">I", length) + b"x"
    collected = load(save(tmp_path, data))
    assert collected.with_messages == 1 and collected.captures[0].truncated_tail


def test_another_content_is_refused(tmp_path: Path) -> None:
    other = save(tmp_path, control(START, b"protobuf:other.Thing") + control(STOP))
    with pytest.raises(NotACapture, match="other.Thing.*not dnstap"):
        open_only(other)
    unnamed = save(tmp_path, control(START, None) + control(STOP), "unnamed")
    assert open_only(unnamed).format == "dnstap"


def test_without_the_library_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path, stream(walks()))
    dnstap = importlib.import_module("pcapkit.ingest.logs.dnstap")
    dnstap._schema.cache_clear()
    with monkeypatch.context() as changed:
        changed.setitem(sys.modules, "google.protobuf", None)
        with pytest.raises(InputError, match=r"pcapkit-dns\[dnstap\]"):
            open_only(path)
    assert open_only(path).format == "dnstap"


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_anywhere_is_survived(data: Any, tmp_path: Path) -> None:
    whole = bytearray(stream(walks()[:4], handshake=True))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(12, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = save(tmp_path, bytes(whole), "damaged")
    try:
        collected = load(path)
    except NotACapture:
        return  # the content type was hit
    assert_ledger(collected)


def test_frames_join_with_packets(tmp_path: Path) -> None:
    """A chain may begin in a capture and end in a log of the server."""
    first = save(tmp_path, pcap(as_packets()[:10]), "z.pcap")
    second = save(tmp_path, stream(walks()[10:]), "a.fstrm")
    whole = save(tmp_path, pcap(as_packets()), "whole.pcap")
    pd.testing.assert_frame_equal(lookups(second, first), lookups(whole))
