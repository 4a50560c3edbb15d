"""A packet capture written anew with pseudonyms, record by record, in bounded memory."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np

from pcapkit.concurrency import ahead
from pcapkit.errors import InputError
from pcapkit.files import whole_file
from pcapkit.ingest.capture.batches import Batch
from pcapkit.ingest.capture.decode import port_table
from pcapkit.ingest.capture.reader import open_records
from pcapkit.ingest.inputs.formats import format_of
from pcapkit.ingest.inputs.source import open_source
from pcapkit.ingest.packet.fields import DNS_PORT, new_facts
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.schema import Bytes, Integers
from pcapkit.sharing.key import Key
from pcapkit.sharing.messages import (
    BLANKED,
    CUT_NAMES,
    DEFERRED,
    LEFT_OUT,
    MISSING,
    MOST_PLACES,
    OPTIONS_DROPPED,
    PLACE,
    RECORDS_BLANKED,
    STAMP,
    STATE,
    UNREAD,
    Work,
)
from pcapkit.sharing.packets import D_COLUMNS, RECORD_SPACE, layers_for, rewrite, rewrite_message
from pcapkit.sharing.pseudonyms import Pseudonyms
from pcapkit.sharing.streams import Chunk, Reassembly

_OUT_BYTES = 8 << 20
_NAMES_AHEAD, _LONGEST_NAME = 1 << 14, 256
#: Rows of packets whose messages lie in several, in one chunk; chunks that wait for them at most.
_DEFERRED, _MOST_CHUNKS = 1 << 14, 8
_GROWTH = 7
_SNAPLEN = 262_144
_NANOSECONDS = 9
_PCAP_MAGIC, _SECTION, _INTERFACE = 0xA1B23C4D, 0x0A0D0D0A, 1


@dataclass(slots=True)
class Shared:
    """What became of a capture."""

    packets: int = 0
    format: str = "pcap"
    payloads_left_out: int = 0
    unread_link_types: int = 0
    messages_blanked: int = 0
    names_cut: int = 0
    records_blanked: int = 0
    options_dropped: int = 0
    parts_blanked: int = 0
    kept_addresses: list[str] = field(default_factory=list)
    damage: str | None = None


class Sharing:
    """Rewrites batches of records under a key."""

    def __init__(self, key: Key, ports: frozenset[int], limits: Limits = DEFAULTS) -> None:
        table = port_table(ports)
        self.pseudonyms = Pseudonyms(key, table)
        self.pseudonyms.reserve(_NAMES_AHEAD, _LONGEST_NAME)
        self.work = Work(
            np.zeros(STATE, np.int64),
            np.zeros(MOST_PLACES, np.int64),
            np.zeros(_LONGEST_NAME, np.uint8),
            new_facts(limits.tunnel_layers),
            layers_for(limits.tunnel_layers),
        )
        self._out = np.zeros(_OUT_BYTES, np.uint8)
        self._deferred = np.zeros((_DEFERRED, D_COLUMNS), np.int64)
        self._chunks: deque[Chunk] = deque()
        self.reassembly = Reassembly(
            self._message, lambda a, b: bool((table[a] | table[b]) & DNS_PORT)
        )

    def batch(self, batch: Batch, blocks: bool, write: Callable[[Bytes], object]) -> None:
        """Write the records of a batch, and of those before what has become whole."""
        records = batch.records
        if records.size:
            longest = int(records["captured"].max())
            if (need := longest * _GROWTH + RECORD_SPACE) > self._out.size:
                self._out = np.zeros(need, np.uint8)
        first = 0
        while first < records.size:
            done, missing, full = rewrite(
                batch.buffer,
                records,
                first,
                int(blocks),
                self._out,
                self.pseudonyms.maps(),
                self.work,
                self._deferred,
            )
            if missing >= 0:
                self.pseudonyms.learn()
            if full:
                names = max(_NAMES_AHEAD, int(records["captured"].max()) // 8 + 4)
                self.pseudonyms.reserve(2 * names, _LONGEST_NAME)
            first = int(missing if missing >= 0 else done)
            if first == records.size or (missing < 0 and not full):
                self._pass_on(batch.buffer, write)
        self._pass_on(batch.buffer, write)

    def finish(self, write: Callable[[Bytes], object]) -> None:
        """Write what waits."""
        self.reassembly.finish()
        self._flush(write)

    def _pass_on(self, buffer: Bytes, write: Callable[[Bytes], object]) -> None:
        state = self.work.state
        used, rows = int(state[PLACE]), int(state[DEFERRED])
        state[PLACE] = state[DEFERRED] = 0
        if not used:
            return
        if not rows and not self._chunks:
            write(self._out[:used])
            return
        chunk = Chunk(self._out[:used].copy())
        self._chunks.append(chunk)
        for row in self._deferred[:rows].tolist():
            self.reassembly.add(buffer, row, chunk)
        while len(self._chunks) > _MOST_CHUNKS and self._chunks[0].waiting:
            self.reassembly.finish(self._chunks[0])
            self._flush(write)
        self._flush(write)

    def _flush(self, write: Callable[[Bytes], object]) -> None:
        while self._chunks and not self._chunks[0].waiting:
            write(self._chunks.popleft().data)

    def _message(self, data: bytes, is_cut: bool) -> bytes:
        buffer = np.frombuffer(bytearray(data), np.uint8)
        out = np.zeros(len(data) * _GROWTH + RECORD_SPACE, np.uint8)
        counts = self.work.state.copy()
        while True:
            self.pseudonyms.reserve(len(data) // 8 + 4, _LONGEST_NAME)
            self.work.state[:] = counts
            rewrite_message(buffer, int(is_cut), out, self.pseudonyms.maps(), self.work)
            if not self.work.state[MISSING]:
                break
            counts[STAMP] = self.work.state[STAMP]
            self.pseudonyms.learn()
        size = int(self.work.state[PLACE])
        self.work.state[PLACE] = counts[PLACE]
        return out[:size].tobytes()


def share(
    path: str,
    output: Path,
    key: Callable[[], Key],
    ports: frozenset[int] = frozenset((53,)),
    limits: Limits = DEFAULTS,
) -> Shared:
    """Write the packet capture at ``path`` to ``output`` with pseudonyms; return what became of it.

    ``key`` is asked once the input is known to be a packet capture. Raises InputError where it is
    none, or cannot be read or written.
    """
    with open_source(path, limits) as source:
        found = format_of(source)
        if found is None or found.name not in ("pcap", "pcapng"):
            what = "text" if found is None else found.name
            raise InputError(
                source.path,
                f"no packet capture ({what}), and only packets can be written anew",
                hint="share its report: analyze --pseudonymize",
            )
        capture, batches = open_records(source)
        sharing = Sharing(key(), ports, limits)
        shared = Shared(format=capture.format)
        blocks = capture.format == "pcapng"
        with whole_file(output) as out:
            _write(capture.link_types, batches, sharing, out, shared, blocks)
        state = sharing.work.state
        shared.payloads_left_out = int(state[LEFT_OUT])
        shared.unread_link_types = int(state[UNREAD])
        shared.messages_blanked = int(state[BLANKED])
        shared.names_cut = int(state[CUT_NAMES])
        shared.records_blanked = int(state[RECORDS_BLANKED])
        shared.options_dropped = int(state[OPTIONS_DROPPED])
        shared.parts_blanked = sharing.reassembly.blanked
        shared.kept_addresses = sharing.pseudonyms.kept_text()
        shared.damage = capture.damage
        return shared


def _write(
    link_types: tuple[int, ...],
    batches: Iterable[Batch],
    sharing: Sharing,
    out: IO[bytes],
    shared: Shared,
    blocks: bool,
) -> None:
    known = 0
    if blocks:
        out.write(struct.pack("<IIIHHqI", _SECTION, 28, 0x1A2B3C4D, 1, 0, -1, 28))
    else:
        network = link_types[0] if link_types else 1
        out.write(struct.pack("<IHHiIII", _PCAP_MAGIC, 2, 4, 0, 0, _SNAPLEN, network))
    with ahead(iter(batches), depth=1) as following:
        for batch in following:
            if blocks and batch.records.size:
                types: Integers = batch.records["interface"].astype(np.int64)
                for number in range(known, int(types.max()) + 1):
                    same = batch.records["linktype"][types == number]
                    linktype = int(same[0] if same.size else batch.records["linktype"][0])
                    options = struct.pack("<HHB3xHH", 9, 1, _NANOSECONDS, 0, 0)
                    body = struct.pack("<HHI", linktype, 0, _SNAPLEN) + options
                    size = len(body) + 12
                    out.write(struct.pack("<II", _INTERFACE, size) + body + struct.pack("<I", size))
                    known = number + 1
            shared.packets += int(batch.records.size)
            sharing.batch(batch, blocks, lambda data: out.write(data.tobytes()))
    sharing.finish(lambda data: out.write(data.tobytes()))
