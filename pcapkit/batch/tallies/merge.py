"""Tallies: made of captures, or of parts of them, and merged into an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pcapkit.errors import InputError, UsageError
from pcapkit.files import whole_file
from pcapkit.ingest.inputs.recognise import is_tally
from pcapkit.ingest.tallies.chain import captures_of
from pcapkit.ingest.tallies.facts import PartFacts
from pcapkit.ingest.tallies.file import Part, Writer, read_tallies
from pcapkit.ingest.tallies.record import key_of, record
from pcapkit.ingest.tallies.replay import open_captures
from pcapkit.ingest.window import Span
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.collect import Collected, collect_captures
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options
from pcapkit.pipeline.reading import Reading
from pcapkit.report.writer import stem_of

#: Of files that are written into a folder under a name of their own.
SUFFIX = ".tally"


def write_tally(
    path: str,
    output: Path,
    *,
    options: Options | None = None,
    span: Span | None = None,
    hooks: Hooks | None = None,
) -> tuple[Path, PartFacts]:
    """Write the tally of a capture, or of the part ``span`` of one; return where, and what it is.

    Where ``output`` is a folder, the file's name ends in a hash of the content, the range, the
    ports and the versions: the same input gives the same name, another one another. Of the options
    the ports count, and the limits of what is read; the others are for whoever merges. Raises
    InputError where the capture cannot be read or the file cannot be written, UsageError where
    there is no reading it in parts.
    """
    options, progress = options or Options(), None if hooks is None else hooks.progress

    def each(size: int, packets: int) -> None:
        if progress is not None:
            progress(path, size, packets)

    def name() -> str:
        return f"{stem_of([facts.path])}-{key_of(facts)}{SUFFIX}"

    into = output.is_dir()
    target = output / "tally" if into else output
    _keep_captures(target)
    with whole_file(target, name=name if into else None) as out, Writer(out) as writer:
        facts = record(
            path,
            writer,
            ports=options.ports | {53},
            span=span,
            progress=each,
            limits=options.limits,
        )
    return (output / name() if into else output), facts


def _keep_captures(output: Path) -> None:
    """Refuse to write a tally over what is none: a capture that was named twice, say."""
    if output.is_file():
        with output.open("rb") as file:
            head = file.read(128)
        if head and not is_tally(head):
            raise UsageError(f"{output} is there and is no tally: name another file")


def join_tallies(paths: Sequence[str], output: Path) -> int:
    """Write one tally with all parts of some; return how many there are, each once.

    They stand in an order that does not depend on that of ``paths``.
    """
    _keep_captures(output)
    parts, failures = read_tallies(paths)
    kept: dict[str, Part] = {}
    for part in parts:
        kept.setdefault(key_of(part.facts), part)

    def place(part: Part) -> tuple[str, int, str]:
        return part.facts.capture, part.facts.asked[0], part.facts.content

    with whole_file(output) as out, Writer(out) as writer:
        for part in sorted(kept.values(), key=place):
            with part:
                writer.copy(part)
        for failure in sorted(failures, key=lambda f: f.paths):
            writer.fail(failure)
    return len(kept)


def merge(
    *tallies: str | Path, options: Options | None = None, hooks: Hooks | None = None
) -> Analysis:
    """Analyse the captures in some tallies, in any order, as if they were read as one.

    Raises InputError where a tally is damaged or a part is missing, Misplaced where one is to be
    made again.
    """
    options, hooks = options or Options(), hooks or Hooks()
    if not tallies:
        raise UsageError("no tally given")
    whole = Collected()
    parts, failures = read_tallies([str(path) for path in tallies])
    if not parts:
        raise InputError(str(tallies[0]), f"no capture in it: {failures[0].error}")
    whole.warnings += [f"left out, as it could not be read: {f.error}" for f in failures]
    captures_of(parts)  # what is missing is said before anything is read
    collect_captures(
        open_captures(parts, whole.interners, options.limits),
        whole,
        options=options,
        progress=hooks.progress,
        stop=hooks.stop,
    )
    if hooks.rename is not None:
        hooks.rename(whole)
    if hooks.collected is not None:
        hooks.collected()
    return Reading(whole, options).analysis(hooks.charted)
