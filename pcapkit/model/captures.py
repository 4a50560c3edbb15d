"""Records of what was read: captures, and every packet and message of them counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptureInfo:
    """One capture file (or stream) that was read."""

    path: str
    format: str
    compression: str | None
    link_types: tuple[str, ...]
    snaplen: int | None
    packets: int
    bytes: int
    first_time: int | None
    last_time: int | None
    truncated_tail: bool

    @property
    def duration_s(self) -> float | None:
        """Seconds from the first packet to the last; None without a clock or without packets."""
        if self.first_time is None or self.last_time is None:
            return None
        return (self.last_time - self.first_time) / 1e9


@dataclass(frozen=True, slots=True)
class PacketLedger:
    """Every packet exactly once: ``total == with_messages + duplicates + sum(skipped)``."""

    total: int
    with_messages: int
    duplicates: int
    skipped: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """DNS messages seen, duplicates left out."""

    total: int
    queries: int
    responses: int
    tcp: int
    truncated: int
    by_rcode: Mapping[str, int]
