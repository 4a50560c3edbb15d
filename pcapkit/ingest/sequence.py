"""Several inputs as one sequence: patterns expanded, each file once, in order of the first packets.

``tcpdump -C``, ``-G`` and ``-W`` write one capture as many files (tcpdump(1)), whose names need not
sort by time: ``-W`` writes over the oldest. The order is therefore taken from the packets. Files
are opened one at a time, so that a set may have more members than a process may have files open.
"""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from pcapkit.ahead import close
from pcapkit.errors import EmptyInput, InputError
from pcapkit.ingest.formats import open_capture
from pcapkit.ingest.source import PEEK_BYTES, Source, open_source
from pcapkit.ingest.window import Interners

_SHOWN = 3


def open_in_order(
    paths: Sequence[str], *, ports: frozenset[int], warnings: list[str]
) -> Iterator[Source]:
    """Open each input behind ``paths`` once, in the order of their first packets.

    A path is a file, a pipe, ``-``, or a glob pattern. Close each source before taking the next.
    Inputs without a clock come first, in the order given; equal times keep that order too. A file
    named more than once is read once. Where there are several inputs, an empty one is left out with
    a warning; where there is one, it raises EmptyInput.

    Raises InputError where one cannot be opened or a pattern matches no file.
    """
    inputs = _distinct(expand_patterns(paths), warnings)
    if len(inputs) == 1:
        yield open_source(inputs[0])
        return
    interners = Interners()
    members: list[tuple[int, str, Source | None]] = []
    empty: list[str] = []
    for path in inputs:
        try:
            source = open_source(path)
        except EmptyInput:
            empty.append(path)
            continue
        try:
            time = _first_time(source, interners, ports)
        finally:
            if source.reopens:
                source.close()
        members.append((time or 0, path, None if source.reopens else source))
    if not members:
        raise EmptyInput(empty[0], f"all {len(empty)} inputs are empty", hint="did tcpdump run?")
    warn_of_files(empty, "empty, left out", warnings)
    members.sort(key=lambda member: member[0])
    try:
        for _, path, waiting in members:
            yield waiting or open_source(path)
    finally:  # a pipe that waits for its turn
        for _, _, waiting in members:
            if waiting:
                waiting.close()


def expand_patterns(paths: Sequence[str]) -> list[str]:
    """Replace glob patterns by the files that they match, numbers in names in numeric order.

    A path that exists is no pattern, whatever characters it has. Raises InputError where a pattern
    matches no file.
    """
    out = []
    for path in paths:
        if path == "-" or os.path.lexists(path) or not glob.has_magic(path):
            out.append(path)
            continue
        matches = [m for m in glob.glob(path, recursive=True) if not os.path.isdir(m)]
        if not matches:
            raise InputError(path, "no file matches this pattern", hint="check the path")
        out += sorted(matches, key=_by_number)
    return out


def warn_of_files(paths: Sequence[str], what: str, warnings: list[str]) -> None:
    """Add one warning about any number of files, the first few of them named."""
    if paths:
        more = f" and {len(paths) - _SHOWN} more files" if len(paths) > _SHOWN else ""
        warnings.append(f"{', '.join(paths[:_SHOWN])}{more}: {what}")


def _by_number(path: str) -> list[tuple[int, str]]:
    """Sort ``c.pcap2`` before ``c.pcap10``: ``tcpdump -C`` does not pad its numbers."""
    parts = re.split(r"(\d+)", path)
    return [(int(p) if k % 2 else 0, p) for k, p in enumerate(parts)]


def _distinct(paths: Sequence[str], warnings: list[str]) -> list[str]:
    """Leave out what was named before, also by another name of the same file."""
    out: dict[object, str] = {}
    again: dict[str, None] = {}
    for path in paths:
        key: object = path
        if path != "-" and os.path.exists(path):
            status = os.stat(path)
            key = (status.st_dev, status.st_ino)
        if key in out:
            again[path] = None
        out.setdefault(key, path)
    warn_of_files(list(again), "named more than once, read once", warnings)
    return list(out.values())


def _first_time(source: Source, interners: Interners, ports: frozenset[int]) -> int | None:
    """Return the earliest time among the first packets; None where nothing shows one.

    The beginning of the stream is looked at and stays to be read.
    """
    head = source.peek(PEEK_BYTES)
    beginning = Source(source.path, cast(BinaryIO, io.BytesIO(head)), len(head))
    time = _time_of(beginning, interners, ports)
    if time is None and len(head) == PEEK_BYTES and source.reopens:
        with open_source(source.path) as whole:  # blocks without packets fill the beginning
            time = _time_of(whole, interners, ports)
    return time


def _time_of(source: Source, interners: Interners, ports: frozenset[int]) -> int | None:
    capture = open_capture(source, interners, ports=ports)
    first = next(capture.windows, None)
    close(capture.windows)
    return first.first_time if first is not None and capture.has_clock else None
