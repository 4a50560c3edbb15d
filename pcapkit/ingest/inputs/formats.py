"""Input formats: FORMATS, recognised by content.

To add a format: its recogniser in ``recognise.py``, a reader that returns a
:class:`~pcapkit.ingest.window.Capture`, and a row in FORMATS. A reader is imported when a source of
its format is opened, and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from pcapkit.errors import NotACapture
from pcapkit.ingest.inputs.recognise import (
    looks_like_coredns,
    looks_like_frame_stream,
    looks_like_hubble,
    looks_like_pcap,
    looks_like_pcapng,
    looks_like_tcpdump,
    looks_like_trace_dns,
)
from pcapkit.ingest.inputs.source import Source

if TYPE_CHECKING:
    from pcapkit.ingest.window import Capture, Interners


HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Format:
    """One input format: ``recognises`` looks at the first bytes; ``module`` has its ``reader``."""

    name: str
    recognises: Callable[[bytes], bool]
    module: str
    reader: str


FORMATS: tuple[Format, ...] = (
    Format("pcap", looks_like_pcap, "capture.reader", "read_pcap"),
    Format("pcapng", looks_like_pcapng, "capture.reader", "read_pcapng"),
    Format("dnstap", looks_like_frame_stream, "logs.dnstap", "read_dnstap"),
    Format("tcpdump text", looks_like_tcpdump, "logs.tcpdump", "read_tcpdump_text"),
    Format("CoreDNS log", looks_like_coredns, "logs.coredns", "read_coredns_log"),
    Format("Hubble flows", looks_like_hubble, "logs.hubble", "read_hubble"),
    Format("Inspektor Gadget", looks_like_trace_dns, "logs.inspektor_gadget", "read_trace_dns"),
)


def recognise(head: bytes) -> Format | None:
    """Return the format whose content ``head`` begins, or None."""
    return next((f for f in FORMATS if f.recognises(head)), None)


def format_of(source: Source) -> Format:
    """Return the format of ``source``, whose bytes all stay to be read.

    Raises NotACapture where they are in no known format.
    """
    head = source.peek(HEAD_BYTES)
    found = recognise(head)
    if found is None:
        shown = head[:8].hex(" ")
        raise NotACapture(
            source.path,
            f"not a capture: it begins with the bytes {shown}" if head else "empty",
            hint="pcap, pcapng, dnstap, and the lines that tcpdump, CoreDNS, Hubble and Inspektor "
            "Gadget print are read, also compressed",
        )
    return found


def open_capture(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Recognise the format of ``source`` and return its capture, ready to be read.

    Raises NotACapture where the bytes are in no known format.
    """
    found = format_of(source)
    read = getattr(import_module(f"pcapkit.ingest.{found.module}"), found.reader)
    return cast("Capture", read(source, interners, ports=ports))
