"""Several inputs as one sequence, in the order of their first packets.

``tcpdump -C``, ``-G`` and ``-W`` write one capture as many files (tcpdump(1)), whose names need not
sort by time: ``-W`` writes over the oldest. The order is therefore taken from the packets. Files
are opened one at a time, so that a set may have more members than a process may have files open.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from pcapkit.concurrency import close
from pcapkit.errors import EmptyInput, NotACapture
from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.inputs.patterns import all_empty, distinct, expand_patterns, warn_of_files
from pcapkit.ingest.inputs.source import PEEK_BYTES, Source, open_source
from pcapkit.ingest.window import Interners
from pcapkit.limits import DEFAULTS, Limits


def open_in_order(
    paths: Sequence[str], *, ports: frozenset[int], warnings: list[str], limits: Limits = DEFAULTS
) -> Iterator[Source]:
    """Open each input behind ``paths`` once, in the order of their first packets.

    A path is a file, a pipe, ``-``, or a glob pattern. Close each source before taking the next.
    Inputs without a clock come first, in the order given; equal times keep that order too. A file
    named more than once is read once. Where there are several inputs, an empty one is left out with
    a warning; where there is one, it raises EmptyInput.

    Raises InputError where one cannot be opened or a pattern matches no file.
    """
    inputs = distinct(expand_patterns(paths), warnings)
    if len(inputs) == 1:
        yield open_source(inputs[0], limits)
        return
    interners = Interners()
    members: list[tuple[int, str, Source | None, int | None]] = []
    empty: list[str] = []
    for path in inputs:
        try:
            source = open_source(path, limits)
        except EmptyInput:
            empty.append(path)
            continue
        try:
            time, of_packets = first_time(source, path, interners, ports)
        finally:
            if source.reopens:
                source.close()
        begins = time if of_packets else None
        members.append((time or 0, path, None if source.reopens else source, begins))
    if not members:
        raise all_empty(empty)
    warn_of_files(empty, "empty, left out", warnings)
    members.sort(key=lambda member: member[0])
    try:
        for number, (_, path, waiting, _) in enumerate(members):
            source = waiting or open_source(path, limits)
            if number + 1 < len(members):
                source.followed_at = members[number + 1][3]
            yield source
    finally:  # a pipe that waits for its turn
        for _, _, waiting, _ in members:
            if waiting:
                waiting.close()


def first_time(
    source: Source, path: str, interners: Interners, ports: frozenset[int]
) -> tuple[int | None, bool]:
    """Return the earliest time among the first packets, and if they are those of a packet capture.

    The time is None where nothing shows one. The beginning of the stream is looked at and stays to
    be read.
    """
    head = source.peek(PEEK_BYTES)
    beginning = Source(source.path, cast(BinaryIO, io.BytesIO(head)), len(head))
    time, of_packets = _time_of(beginning, interners, ports)
    if time is None and len(head) == PEEK_BYTES and source.reopens:
        with open_source(path, source.limits) as whole:  # blocks without packets fill the beginning
            time, of_packets = _time_of(whole, interners, ports)
    return time, of_packets


def _time_of(
    source: Source, interners: Interners, ports: frozenset[int]
) -> tuple[int | None, bool]:
    capture = open_capture(source, interners, ports=ports)
    try:
        first = next(capture.windows, None)
    except NotACapture:  # a text in whose beginning no line of a known form stands
        first = None
    close(capture.windows)
    time = first.first_time if first is not None and capture.has_clock else None
    return time, capture.of_packets
