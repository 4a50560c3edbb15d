"""Write what reading a capture gives to a tally."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable

from pcapkit.concurrency import close
from pcapkit.errors import UsageError
from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.inputs.sequence import first_time
from pcapkit.ingest.inputs.source import open_source
from pcapkit.ingest.tallies.facts import (
    HEAD_BYTES,
    IDENTITY,
    SCHEMA,
    OwnerFacts,
    PartFacts,
    WindowFacts,
)
from pcapkit.ingest.tallies.file import Writer
from pcapkit.ingest.window import Ends, Interners, Span
from pcapkit.kernels.interning import Interner
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.version import __version__

#: Called with the bytes of the capture and the packets that are read so far.
Progress = Callable[[int, int], None]


def record(
    path: str,
    out: Writer,
    *,
    ports: frozenset[int],
    span: Span | None = None,
    progress: Progress | None = None,
    limits: Limits = DEFAULTS,
) -> PartFacts:
    """Read a capture, or the part ``span`` of one, and write it to ``out``; return what it is.

    Raises InputError where it cannot be read, UsageError where it cannot be read in parts.
    """
    interners = Interners(Interner(IDENTITY), Interner(IDENTITY))
    digest = hashlib.sha256()
    with open_source(path, limits) as source:
        begins, of_packets = first_time(source, path, Interners(), ports)
        # Rotated files may begin with the same long list of interfaces.
        head = hashlib.sha256(source.peek(HEAD_BYTES) + repr(begins).encode()).hexdigest()
        if span is not None and (source.compression or not of_packets or not source.reopens):
            raise UsageError(
                f"{source.path}: only packet captures that are files, and not compressed, have "
                "ranges: leave --range out"
            )
        capture = open_capture(source, interners, ports=ports)
        capture.keeps = capture.of_packets
        if capture.of_packets:
            capture.digest = digest
        else:
            source.digest = digest
        if span is not None and span.first >= (source.stored_size or 0):
            raise UsageError(
                f"--range: {source.path} has {source.stored_size} bytes: it begins behind its end"
            )
        capture.span = span
        windows: list[WindowFacts] = []
        unreachable: Counter[Ends] = Counter()
        packets = 0
        try:
            for number, window in enumerate(capture.windows):
                out.window(number, window.messages, window.kept, window.numbers)
                kept = 0 if window.kept is None else window.kept.records.size
                packets += window.packets + kept
                unreachable.update(window.unreachable)
                windows.append(
                    WindowFacts(
                        window.packets,
                        {reason: n for reason, n in sorted(window.skipped.items()) if n},
                        window.first_time,
                        window.last_time,
                        window.numbers,
                        window.kept is not None,
                    )
                )
                if progress is not None:
                    progress(capture.bytes_read, packets)
        finally:
            close(capture.windows)
        size = source.stored_size
    out.strings("names", interners.names)
    out.strings("addresses", interners.addresses)
    facts = PartFacts(
        schema=SCHEMA,
        pcapkit_version=__version__,
        path=capture.path,
        format=capture.format,
        compression=capture.compression,
        capture=head,
        content=digest.hexdigest(),
        size=size,
        asked=(0, None) if span is None else (span.first, span.stop),
        begin=None if span is None else span.begin,
        end=None if span is None else span.end,
        ports=tuple(sorted(ports)),
        begins=begins,
        has_clock=capture.has_clock,
        link_types=capture.link_types,
        snaplen=capture.snaplen,
        bytes_read=capture.bytes_read,
        truncated_tail=capture.truncated_tail,
        damage=capture.damage,
        of_packets=capture.of_packets,
        packets=packets,
        noted=capture.noted,
        warnings=tuple(capture.warnings),
        left_out={} if capture.of_packets else dict(sorted(capture.left_out.items())),
        unreachable=tuple(
            (ends.reason, ends.client.hex(), ends.server.hex(), n)
            for ends, n in unreachable.items()
        ),
        pods={address.hex(): pod for address, pod in capture.pods.items()},
        owners=_owners(interners),
        windows=tuple(windows),
    )
    out.end(facts)
    return facts


def _owners(interners: Interners) -> tuple[OwnerFacts, ...]:
    return tuple(
        OwnerFacts(number, o.client, o.namespace, o.pod, o.container, o.container_id, o.sure)
        for number, o in interners.owners.items()
    )


def key_of(facts: PartFacts) -> str:
    """Return what tells this part from all others, for the name of its file: 32 hex digits."""
    texts = (
        facts.content,
        facts.capture,
        facts.asked,
        facts.begin,
        facts.ports,
        SCHEMA,
        facts.pcapkit_version,
    )
    return hashlib.sha256(repr(texts).encode()).hexdigest()[:32]
