"""Tallies of an audit: large captures in parts, and the share of one machine of many."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from pcapkit.batch.finding.failures import kind_of, text_of
from pcapkit.batch.tallies.merge import SUFFIX, merge, write_tally
from pcapkit.errors import InputError, PcapkitError
from pcapkit.files import whole_file
from pcapkit.ingest.inputs.recognise import PCAP_MAGICS, PCAPNG_MAGIC
from pcapkit.ingest.inputs.source import open_source
from pcapkit.ingest.tallies.chain import Misplaced
from pcapkit.ingest.tallies.file import FailureFacts, Writer, inside
from pcapkit.ingest.tallies.record import record
from pcapkit.ingest.window import Span
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.options import Options
from pcapkit.text import encodable, is_url

#: Bytes of a part; captures of two or more are read in parts. What has to be written and read again
#: costs as much as the analysis: smaller ones are done sooner at once.
PART_BYTES = 1 << 31


@dataclass(frozen=True, slots=True)
class PartTask:
    """One part to read of the capture of the item ``key``, into the file ``output``."""

    key: str
    source: str = field(repr=False)
    first: int
    stop: int | None
    output: str
    options: Options = field(repr=False)


def parts_of(key: str, name: str, source: str, folder: Path, options: Options) -> list[PartTask]:
    """Return the parts of a capture, none where it is read as a whole.

    That is where it is small, compressed, no packet capture, or no file of its own. Their tallies
    go to ``folder`` and are named ``name``.
    """
    if is_url(source):
        return []
    try:
        kind = os.stat(source)
        if not stat.S_ISREG(kind.st_mode) or kind.st_size < 2 * PART_BYTES:
            return []
        with open_source(source) as opened:
            if opened.compression is not None or opened.peek(4) not in (*PCAP_MAGICS, PCAPNG_MAGIC):
                return []
    except (PcapkitError, OSError):
        return []  # whoever reads it says why
    firsts = range(0, kind.st_size - PART_BYTES + 1, PART_BYTES)
    stops: list[int | None] = [*firsts[1:], None]
    return [
        PartTask(key, source, first, stop, str(folder / f"{name}.{first}{SUFFIX}"), options)
        for first, stop in zip(firsts, stops, strict=True)
    ]


def read_part(task: PartTask) -> str | None:
    """Write the tally of a part, if it is not there yet; return what failed."""
    output = Path(task.output)
    try:
        if output.exists():
            try:
                inside(task.output)
                return None
            except InputError:  # torn, or of another version: it is made again
                output.unlink(missing_ok=True)
        span = Span(task.first, task.stop)
        write_tally(task.source, output, options=task.options, span=span)
    except PcapkitError as problem:
        return str(problem)
    return None


def merge_parts(tallies: tuple[str, ...], source: str, options: Options) -> Analysis:
    """Analyse a capture, read at ``source``, from its parts.

    One that began in the middle of a record is made again.
    """
    paths, made = list(tallies), set[int]()
    while True:
        try:
            return merge(*paths, options=options)
        except Misplaced as wrong:
            if wrong.first in made:  # the capture is another one by now
                raise
            made.add(wrong.first)
            again = f"{wrong.path.removesuffix(SUFFIX)}.{wrong.first}{SUFFIX}"
            span = Span(wrong.first, wrong.stop, exact=True)
            write_tally(source, Path(again), options=options, span=span)
            paths[paths.index(wrong.path)] = again


@dataclass(frozen=True, slots=True)
class ShareTask:
    """An item whose tally is written; ``paths`` are shown, ``sources`` opened."""

    paths: tuple[str, ...]
    sources: tuple[str, ...] = field(repr=False)
    output: str
    options: Options = field(repr=False)
    error: str | None = None
    error_kind: str | None = None


def is_of_captures(tally: Path) -> bool:
    """Is this a whole tally of this version, and not one that says why there is none?"""
    try:
        return tally.exists() and inside(str(tally))[1] is None
    except InputError:
        return False


def write_share(task: ShareTask) -> str | None:
    """Write one tally of all captures of an item, or of why there is none; return what failed."""
    if task.error is not None:
        return _write_failure(task, task.error, task.error_kind)
    try:
        with whole_file(Path(task.output)) as out, Writer(out) as writer:
            for source in task.sources:
                ports = task.options.ports | {53}
                record(source, writer, ports=ports, limits=task.options.limits)
    except Exception as problem:  # not even a fault of ours may stop the other captures
        return _write_failure(task, text_of(task.paths[0], problem), kind_of(problem))
    return None


def _write_failure(task: ShareTask, error: str, kind: str | None) -> str:
    with whole_file(Path(task.output)) as out, Writer(out) as writer:
        writer.fail(FailureFacts(tuple(map(encodable, task.paths)), error, kind))
    return error
