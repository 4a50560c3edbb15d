"""dnstap: DNS messages that a server logs in Frame Streams of Protocol Buffers.

The schema is ``dnstap.proto`` (dnstap.info, github.com/dnstap/dnstap.pb); the framing is that of
``fstrm`` (farsightsec.github.io/fstrm): each frame behind its length in 32 bits, control frames
behind a length of 0. A file is START, data, STOP; what was recorded from a socket has the handshake
(READY, ACCEPT, FINISH) around it. Streams behind one another are read as one.

Messages between a client and this server are read, whatever the server calls the client (CLIENT,
AUTH, STUB, TOOL, UPDATE). RESOLVER and FORWARDER messages are the same questions again on their way
upstream: no application asked them, and they are counted as ``upstream_leg``. Their bytes go
through the decoder that packets go through.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from pcapkit.errors import InputError, NotACapture
from pcapkit.ingest.dns import decode_message
from pcapkit.ingest.inputs.recognise import CONTROL_BYTES
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.window import Capture, Interners, Window
from pcapkit.kernels.jit import kernel
from pcapkit.schema import ABSENT, TCP, UDP, Messages, new_messages

_CONTENT_TYPE = b"protobuf:dnstap.Dnstap"
_CONTENT_TYPE_FIELD = 1
_FRAME_BYTES = 1 << 20  # fstrm's bound
_BLOCK_BYTES = 1 << 20
_WINDOW_FRAMES = 1 << 14
_WINDOW_BYTES = 8 << 20
_MESSAGE = 1  # Dnstap.Type
_UPSTREAM = frozenset({3, 4, 7, 8})  # Message.Type: RESOLVER and FORWARDER, query and response
_OVER_TCP = frozenset({2, 3, 4, 6})  # SocketProtocol: TCP, DOT, DOH, DNSCryptTCP
_BYTES, _UINT64, _UINT32, _FIXED32, _INT32, _RECORD = 12, 4, 13, 7, 5, 11
#: The fields of dnstap.proto that are read: name, number, type (FieldDescriptorProto.Type).
#: Enumerations are read as the integers that they are on the wire, so that new values stay.
_FIELDS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "Message": (
        ("type", 1, _INT32),
        ("socket_protocol", 3, _INT32),
        ("query_address", 4, _BYTES),
        ("response_address", 5, _BYTES),
        ("query_port", 6, _UINT32),
        ("response_port", 7, _UINT32),
        ("query_time_sec", 8, _UINT64),
        ("query_time_nsec", 9, _FIXED32),
        ("query_message", 10, _BYTES),
        ("response_time_sec", 12, _UINT64),
        ("response_time_nsec", 13, _FIXED32),
        ("response_message", 14, _BYTES),
    ),
    "Dnstap": (("type", 15, _INT32), ("message", 14, _RECORD)),
}


def read_dnstap(
    source: Source,
    interners: Interners,
    *,
    ports: frozenset[int],  # noqa: ARG001 - all are DNS
) -> Capture:
    """Return the capture behind a dnstap Frame Stream.

    Raises InputError where the library that reads Protocol Buffers is not installed, NotACapture
    where the stream carries something else.
    """
    head = source.peek(8 + CONTROL_BYTES)
    length = struct.unpack(">I", head[4:8])[0]
    content = _content_type(head[8 : 8 + length])
    if content not in (None, _CONTENT_TYPE):
        raise NotACapture(
            source.path,
            f"a frame stream of {content!r}, which is not dnstap",
            hint="dnstap streams say protobuf:dnstap.Dnstap",
        )
    try:
        dnstap = _schema()
    except ImportError:
        raise InputError(
            source.path,
            "dnstap is read with the library protobuf, which is not installed",
            hint="pip install 'pcapkit-dns[dnstap]'",
        ) from None
    capture = Capture(source.path, "dnstap", source.compression, iter(()))
    capture.windows = _windows(source, interners, capture, dnstap)
    return capture


def _content_type(control: bytes) -> bytes | None:
    """Return the content type that a control frame names, None where it names none."""
    if len(control) < 12 or struct.unpack(">I", control[4:8])[0] != _CONTENT_TYPE_FIELD:
        return None
    return control[12 : 12 + struct.unpack(">I", control[8:12])[0]]


@cache
def _schema() -> Any:
    """Return the class that parses ``dnstap.Dnstap``, built from the fields that are read."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    schema = descriptor_pb2.FileDescriptorProto(
        name="pcapkit/dnstap.proto", package="pcapkit.dnstap", syntax="proto2"
    )
    for name, fields in _FIELDS.items():
        record = schema.message_type.add(name=name)
        for field_name, number, kind in fields:
            added = record.field.add(name=field_name, number=number, type=kind, label=1)
            if kind == _RECORD:
                added.type_name = ".pcapkit.dnstap.Message"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(schema)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("pcapkit.dnstap.Dnstap"))


class _Frames:
    """The data frames of a stream; ``problem`` says why reading ended early, where it did."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._block = bytearray(_BLOCK_BYTES)
        self._held = b""
        self._at = 0
        self.problem = ""

    def _take(self, size: int) -> bytes | None:
        """Return the next ``size`` bytes; None, and nothing taken, where there are fewer."""
        while len(self._held) - self._at < size:
            got = self._source.readinto(memoryview(self._block))
            if not got:
                return None
            self._held = self._held[self._at :] + bytes(self._block[:got])
            self._at = 0
        self._at += size
        return self._held[self._at - size : self._at]

    def __iter__(self) -> Iterator[bytes]:
        while (length := self._take(4)) is not None:
            size, most = struct.unpack(">I", length)[0], _FRAME_BYTES
            control = size == 0
            if control:
                length, most = self._take(4), CONTROL_BYTES
                size = struct.unpack(">I", length)[0] if length is not None else 0
            if size > most or (control and length is not None and size < 4):
                self.problem = f"damaged: a frame of {size} bytes"
                return
            frame = self._take(size) if length is not None else None
            if frame is None:
                self.problem = "the last frame is cut"
                return
            if not control:
                yield frame
        if self._at < len(self._held):
            self.problem = "the last frame is cut"


@dataclass(slots=True)
class _Gathered:
    """The messages of one window, and the facts beside each."""

    dns: bytearray = field(default_factory=bytearray)
    ends: list[int] = field(default_factory=list)
    facts: list[tuple[int, ...]] = field(default_factory=list)
    frames: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


_FACTS = ("time", "packet_no", "client", "server", "client_port", "server_port", "transport")


def _windows(
    source: Source, interners: Interners, capture: Capture, dnstap: Any
) -> Iterator[Window]:
    frames = _Frames(source)
    gathered = _Gathered()
    done = 0
    not_included = 0
    for frame in frames:
        gathered.frames += 1
        reason = _gather(frame, dnstap, interners, gathered, done + gathered.frames)
        if reason:
            gathered.skipped[reason] += 1
            not_included += reason == "message_not_included"
        if gathered.frames == _WINDOW_FRAMES or len(gathered.dns) >= _WINDOW_BYTES:
            capture.bytes_read = source.stored_bytes_read
            yield _decode(gathered, interners)
            done += gathered.frames
            gathered = _Gathered()
    done += gathered.frames
    capture.bytes_read = source.stored_bytes_read
    if problem := source.damage or frames.problem:
        capture.truncated_tail = True
        capture.warnings.append(f"{source.path}: {problem}; analysed up to there ({done} frames)")
    if not_included:
        capture.warnings.append(
            f"{source.path}: {not_included} frames do not include the DNS message: have the server "
            "log it (in a Corefile: dnstap <endpoint> full)"
        )
    if gathered.frames:
        yield _decode(gathered, interners)


def _gather(
    frame: bytes, dnstap: Any, interners: Interners, gathered: _Gathered, frame_no: int
) -> str:
    """Add the message in a frame; return "" or the reason why there is none."""
    from google.protobuf.message import DecodeError

    try:
        event = dnstap.FromString(frame)
    except DecodeError:
        return "malformed"
    if event.type != _MESSAGE or not event.HasField("message"):
        return "other_event"
    message = event.message
    if message.type in _UPSTREAM:
        return "upstream_leg"
    side = "response" if message.type % 2 == 0 else "query"  # every response follows its query
    dns = getattr(message, f"{side}_message")
    if not dns:
        return "message_not_included"
    if len(message.query_address) not in (4, 16):
        return "no_client_address"
    seconds = getattr(message, f"{side}_time_sec")
    if not 0 < seconds < 1 << 33:
        return "malformed"
    server = ABSENT
    if len(message.response_address) in (4, 16):
        server = interners.addresses.add(message.response_address)
    gathered.dns += dns
    gathered.ends.append(len(gathered.dns))
    gathered.facts.append(
        (
            seconds * 1_000_000_000 + getattr(message, f"{side}_time_nsec"),
            frame_no,
            interners.addresses.add(message.query_address),
            server,
            message.query_port & 0xFFFF,
            message.response_port & 0xFFFF,
            TCP if message.socket_protocol in _OVER_TCP else UDP,
        )
    )
    return ""


def _decode(gathered: _Gathered, interners: Interners) -> Window:
    rows = new_messages(len(gathered.ends))
    for column, values in zip(_FACTS, zip(*gathered.facts, strict=True), strict=False):
        rows[column] = values
    rows["message_no"] = 1
    interners.names.reserve(rows.size, rows.size * 255)
    decoded = np.zeros(rows.size, np.bool_)
    decode_frames(
        np.frombuffer(bytes(gathered.dns), np.uint8),
        np.array(gathered.ends, np.int64),
        interners.names.arrays,
        rows,
        decoded,
        np.zeros(256, np.uint8),
    )
    if not decoded.all():
        gathered.skipped["malformed"] += int((~decoded).sum())
        rows = rows[decoded]
    times = rows["time"]
    return Window(
        rows,
        gathered.frames,
        gathered.skipped,
        int(times.min()) if rows.size else None,
        int(times.max()) if rows.size else None,
    )


@kernel
def decode_frames(
    buffer: Any, ends: Any, names: Any, rows: Messages, decoded: Any, scratch: Any
) -> None:
    """Decode the messages that end at ``ends`` in ``buffer``; mark the rows that hold one."""
    start = np.int64(0)
    for i in range(ends.shape[0]):
        end = ends[i]
        decoded[i] = decode_message(buffer, start, end, end, np.uint64(0), names, scratch, rows[i])
        start = end
