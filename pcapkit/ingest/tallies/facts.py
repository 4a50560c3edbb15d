"""What a tally says of the part of a capture that it holds, beside the messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from pcapkit.cluster.pods import Pod
from pcapkit.ingest.window import Noted

#: Of the files that are written; another one is refused.
SCHEMA = "pcapkit.tally/2"
#: Hashes that say which messages are the same agree between tallies by this seed.
IDENTITY = int.from_bytes(hashlib.sha256(SCHEMA.encode()).digest()[:8], "little")
#: So many first bytes tell captures apart: they hold the time of the first packet.
HEAD_BYTES = 4096


class WindowFacts(msgspec.Struct, frozen=True):
    """One window: its packets, less those that are kept, and the numbers and times of all."""

    packets: int
    skipped: Mapping[str, int]
    first_time: int | None
    last_time: int | None
    numbers: tuple[int, int]
    kept: bool


class OwnerFacts(msgspec.Struct, frozen=True):
    """A container that comments name; ``number`` and ``client`` are ids of addresses."""

    number: int
    client: int
    namespace: str | None
    pod: str | None
    container: str | None
    container_id: str | None
    sure: bool


class PartFacts(msgspec.Struct, frozen=True):
    """All of it. Offsets are bytes of the capture, None where it is no part but all of one.

    ``capture`` tells captures apart, ``content`` is the SHA-256 of the bytes that were read (as
    they are after decompression). ``begins`` is the time by which captures stand in order.
    """

    schema: str
    pcapkit_version: str
    path: str
    format: str
    compression: str | None
    capture: str
    content: str
    size: int | None
    asked: tuple[int, int | None]
    begin: int | None
    end: int | None
    ports: tuple[int, ...]
    begins: int | None
    has_clock: bool
    link_types: tuple[int, ...]
    snaplen: int | None
    bytes_read: int
    truncated_tail: bool
    damage: str | None
    of_packets: bool
    packets: int
    noted: Noted
    warnings: tuple[str, ...]
    left_out: Mapping[int, int]
    unreachable: tuple[tuple[str, str, str, int], ...]
    pods: Mapping[str, Pod]  # by address, in hexadecimal digits
    owners: tuple[OwnerFacts, ...]
    windows: tuple[WindowFacts, ...]

    @property
    def whole(self) -> bool:
        """Is it of all of a capture?"""
        return self.asked == (0, None)
