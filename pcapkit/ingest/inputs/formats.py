"""Input formats: FORMATS, recognised by content.

To add a format: its recogniser in ``recognise.py``, a reader, and a row in FORMATS. A format of
bytes has a reader that returns a :class:`~pcapkit.ingest.window.Capture`; one of printed lines has
a :class:`~pcapkit.ingest.logs.lines.LineReader`. A reader is imported when a source of its format
is opened, and not before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

from pcapkit.errors import NotACapture
from pcapkit.ingest.inputs.glance import (
    begins_coredns,
    begins_packet,
    holds,
    is_of_coredns,
    is_of_dnsmasq,
    is_of_gadget,
    is_of_hubble,
    is_of_hubble_text,
    is_of_netobserv,
    is_of_tcpdump,
    is_of_tshark,
    may_begin,
    shows_query,
)
from pcapkit.ingest.inputs.recognise import (
    COREDNS_TOKENS,
    TCPDUMP_TOKENS,
    UNREAD,
    UNREAD_BYTES,
    is_tally,
    looks_like_coredns,
    looks_like_dnsmasq,
    looks_like_frame_stream,
    looks_like_hubble,
    looks_like_hubble_text,
    looks_like_netobserv,
    looks_like_pcap,
    looks_like_pcapng,
    looks_like_tcpdump,
    looks_like_trace_dns,
    looks_like_tshark,
)
from pcapkit.ingest.inputs.source import PEEK_BYTES, Source
from pcapkit.ingest.inputs.wrappings import (
    Line,
    decoded,
    is_decoration,
    json_documents,
    lines_of,
    without_mark,
)
from pcapkit.text import shown_path

if TYPE_CHECKING:
    from pcapkit.ingest.window import Capture, Interners


HEAD_BYTES = 4096
#: No program prints a DNS message in a longer line.
LINE_CHARACTERS = 1 << 16
#: Lines that may stand before the first one of a form, where files are looked for in folders.
_FOREIGN_BEFORE = 3
_HINT = (
    "pcap, pcapng, dnstap, and the lines that tcpdump, tshark, CoreDNS, dnsmasq, Hubble, NetObserv "
    "and Inspektor Gadget print are read, also compressed and in the JSON of log shippers"
)


@dataclass(frozen=True, slots=True)
class Format:
    """One input format. ``module`` has its ``reader``.

    A format of bytes is known by its first ones (``recognises``), one of printed lines by any of
    its lines (``sign``, which needs no look at a line that does not pass ``glance``). A line that
    its reader makes something of passes ``reads``, and it, or one that it continues, holds one of
    ``tokens``; without them, all lines are read. Only where the form ``joins`` lines do indented
    ones continue others.
    """

    name: str
    recognises: Callable[[bytes], bool] | None
    module: str
    reader: str
    sign: Callable[[Line], bool] | None = None
    glance: Callable[[bytes], bool] = bool
    reads: Callable[[bytes], bool] | None = None
    tokens: tuple[bytes, ...] = ()
    joins: bool = False


FORMATS: tuple[Format, ...] = (
    Format("pcap", looks_like_pcap, "capture.reader", "read_pcap"),
    Format("pcapng", looks_like_pcapng, "capture.reader", "read_pcapng"),
    Format("dnstap", looks_like_frame_stream, "logs.dnstap", "read_dnstap"),
    Format(
        "Hubble flows",
        None,
        "logs.hubble",
        "HubbleReader",
        looks_like_hubble,
        is_of_hubble,
        is_of_hubble,
        (b"{",),
    ),
    Format(
        "Inspektor Gadget",
        None,
        "logs.inspektor_gadget",
        "GadgetReader",
        looks_like_trace_dns,
        is_of_gadget,
    ),
    Format(
        "NetObserv flows",
        None,
        "logs.netobserv",
        "FlowReader",
        looks_like_netobserv,
        is_of_netobserv,
        tokens=(b"{",),
    ),
    Format(
        "Hubble text",
        None,
        "logs.hubble_text",
        "HubbleTextReader",
        looks_like_hubble_text,
        is_of_hubble_text,
        tokens=(b"dns-re", b"FORWARDED", b"DROPPED", b"ERROR", b"AUDIT", b"REDIRECTED", b"TRA"),
    ),
    Format(
        "tshark text",
        None,
        "logs.tshark_text",
        "TsharkReader",
        looks_like_tshark,
        shows_query,
        is_of_tshark,
    ),
    Format(
        "dnsmasq log",
        None,
        "logs.dnsmasq",
        "DnsmasqReader",
        looks_like_dnsmasq,
        is_of_dnsmasq,
        tokens=(b"dnsmasq", b"query[", b"reply", b"cached", b"forwarded", b"config"),
    ),
    Format(
        "CoreDNS log",
        None,
        "logs.coredns",
        "CoreDnsReader",
        looks_like_coredns,
        begins_coredns,
        is_of_coredns,
        COREDNS_TOKENS,
    ),
    Format(
        "tcpdump text",
        None,
        "logs.tcpdump",
        "TcpdumpReader",
        looks_like_tcpdump,
        begins_packet,
        is_of_tcpdump,
        TCPDUMP_TOKENS,
        joins=True,
    ),
)
_OF_BYTES = tuple(f for f in FORMATS if f.recognises is not None)
_OF_LINES = tuple(f for f in FORMATS if f.sign is not None)
#: One of these is in every line by which a form of printed lines is known.
LINE_TOKENS = (
    b" IN ",
    b"NOERROR",
    b"NXDOMAIN",
    b"SERVFAIL",
    b"REFUSED",
    b"plugin/",
    b"CoreDNS-",
    b"query[",
    b"dnsmasq",
    b" IP ",
    b">IP ",
    b"IP\xa0",
    b"IP\xc2\xa0",
    b"IP6 ",
    b"ethertype IPv",
    b"dns-re",
    b"tandard query",
    b"QTYPE",
    b'"qr',
    b'qr\\"',
    b"flow",
    b'"l7"',
    b"lost_events",
    b"node_status",
    b"verdict",
    b"Dns",
)


def may_hold(text: bytes, tokens: Sequence[bytes]) -> bool:
    """May a line of a form be among these, by its ``tokens``, or by a packet that begins one?"""
    return holds(text, tokens) or text.startswith(b"IP ") or b"\nIP " in text


def form_of(raw: bytes) -> Format | None:
    """Return the form of printed lines that a line is of, None where it is of none."""
    if not may_begin(raw) or b"\0" in raw:
        return None
    forms = [form for form in _OF_LINES if form.glance(raw)]
    if not forms:
        return None
    for line in lines_of(raw):
        if len(line.text) > LINE_CHARACTERS:
            continue
        for form in forms:
            if form.sign is not None and form.sign(line):
                return form
    return None


def recognise(head: bytes) -> Format | None:
    """Return the format whose content ``head`` begins, or None: what is found in a folder."""
    return _of_bytes(head) or _of_lines(head, _FOREIGN_BEFORE)


def _of_bytes(head: bytes) -> Format | None:
    return next((f for f in _OF_BYTES if f.recognises and f.recognises(head)), None)


def _of_lines(head: bytes, most_before: int | None) -> Format | None:
    before = 0
    for raw in json_documents(iter(without_mark(head).splitlines())):
        if not raw.strip():
            continue
        if (found := form_of(raw)) is not None:
            return found
        before += not all(is_decoration(line.text) for line in lines_of(raw))
        if most_before is not None and before > most_before:
            break
    return None


def _is_text(head: bytes) -> bool:
    text = without_mark(head)
    unprintable = sum(text.count(bytes([b])) for b in (0, 1, 2, 3, 4, 5, 6, 14, 15, 16))
    beyond = sum(c > "\x7f" for c in decoded(text[:4096]))
    return unprintable * 50 <= len(text) and beyond * 2 <= len(text[:4096])


def format_of(source: Source) -> Format | None:
    """Return the format of ``source``, whose bytes all stay to be read; None: text, to be searched.

    Raises NotACapture where they are in no known format.
    """
    head = source.peek(PEEK_BYTES)
    found = _of_bytes(head) or _of_lines(head, None)
    whole = source.reopens and len(head) < PEEK_BYTES
    if found is None and (whole or not _is_text(head)):
        raise not_a_capture(source.path, head)
    return found


def not_a_capture(path: str, head: bytes) -> NotACapture:
    """Return what to raise for a source in no known format: text by its name, bytes by their own.

    Raises nothing.
    """
    if not head:
        return NotACapture(path, "empty", hint=_HINT)
    if is_tally(head):
        return NotACapture(
            path,
            "not a capture, but a tally of one",
            hint=f"'pcapkit merge {shown_path(path)}' analyses it",
        )
    for magic, what, instead in UNREAD_BYTES:
        if head.startswith(magic):
            return NotACapture(path, f"not a capture, but {what}", hint=instead)
    if not _is_text(head):
        return NotACapture(
            path, f"not a capture: it begins with the bytes {head[:8].hex(' ')}", hint=_HINT
        )
    text = without_mark(head).decode("utf-8", "replace")
    for sign, what, instead in UNREAD:
        if sign.search(text):
            return NotACapture(
                path, f"not a capture, but {what}, and no message in it can be read", hint=instead
            )
    return NotACapture(
        path,
        "not a capture: no line of a known form in this text",
        hint=f"print with 'tcpdump -n -tttt port 53', or save with -w; {_HINT}",
    )


def open_capture(source: Source, interners: Interners, *, ports: frozenset[int]) -> Capture:
    """Recognise the format of ``source`` and return its capture, ready to be read.

    Raises NotACapture where the bytes are in no known format.
    """
    found = format_of(source)
    if found is None or found.sign is not None:
        read_text = import_module("pcapkit.ingest.logs.reading.read").read_text
        return cast("Capture", read_text(source, interners, ports=ports, form=found))
    read = getattr(import_module(f"pcapkit.ingest.{found.module}"), found.reader)
    return cast("Capture", read(source, interners, ports=ports))
