"""Analyse: collect all windows, then read them, then count, simulate and advise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from pcapkit.analysis.tables.listing import PIECE
from pcapkit.errors import UsageError
from pcapkit.model.captures import CaptureInfo
from pcapkit.model.vocabulary import SUMMARY_TABLES
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.collect import Collected, collect
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Given, Options, make_options
from pcapkit.pipeline.reading import Reading, messages_parts, warnings_of

if TYPE_CHECKING:
    import pandas as pd


def analyze(
    *paths: str | Path,
    options: Options | None = None,
    hooks: Hooks | None = None,
    keep_messages: bool = False,
    **given: Unpack[Given],
) -> Analysis:
    """Analyse one capture, or several read as one: ``analyze("pod.pcap", ndots=3)``.

    What is known of the pods stands in ``options``, or in the keywords of ``make_options``;
    ``keep_messages`` keeps the table ``messages``, about 100 bytes a message. ``hooks`` are called
    on the way. Raises InputError where a capture cannot be read and UsageError where an option
    makes no sense.
    """
    if options is not None and given:
        raise UsageError("give options, or keywords, not both")
    options, hooks = options or make_options(**given), hooks or Hooks()
    texts = [str(p) for p in paths]
    if not texts:
        raise UsageError("no capture given")
    settings, watch = options, hooks.watch

    def offer(collected: Collected, unfinished: CaptureInfo) -> None:
        if watch is not None:
            watch(lambda: Reading(collected.snapshot(unfinished), settings).analysis())

    whole = collect(
        texts,
        options=options,
        keep_messages=keep_messages,
        progress=hooks.progress,
        stop=hooks.stop,
        watch=None if watch is None else offer,
    )
    if hooks.rename is not None:
        hooks.rename(whole)
    if hooks.collected is not None:
        hooks.collected()
    return Reading(whole, options).analysis(hooks.charted)


def table_parts(
    paths: Sequence[str | Path],
    table: str,
    *,
    options: Options | None = None,
    hooks: Hooks | None = None,
    size: int | None = PIECE,
) -> tuple[Iterator[pd.DataFrame], tuple[str, ...]]:
    """Return one table of a capture, as frames that follow one another, and warnings.

    All is read when this returns; a frame of about ``size`` rows is made when it is asked for.
    There is at least one, and with None only one.
    """
    found, warnings = tables(paths, (table,), options=options, hooks=hooks, size=size)
    return found[table], warnings


def tables(
    paths: Sequence[str | Path],
    wanted: Sequence[str],
    *,
    options: Options | None = None,
    hooks: Hooks | None = None,
    size: int | None = PIECE,
) -> tuple[dict[str, Iterator[pd.DataFrame]], tuple[str, ...]]:
    """Return several tables of a capture, each as ``table_parts`` gives it, and warnings.

    What none of them needs is not done.
    """
    options, hooks = options or Options(), hooks or Hooks()
    collected = collect(
        [str(p) for p in paths],
        options=options,
        keep_messages="messages" in wanted,
        progress=hooks.progress,
        stop=hooks.stop,
    )
    if hooks.rename is not None:
        hooks.rename(collected)
    out: dict[str, Iterator[pd.DataFrame]] = {}
    warnings = tuple(warnings_of(collected))
    reading = Reading(collected, options) if set(wanted) - {"messages"} else None
    if reading is not None and set(wanted) & set(SUMMARY_TABLES):
        from pcapkit.report.table_files import small_table

        analysis = reading.analysis()
        warnings = analysis.warnings
        out = {
            name: iter([small_table(analysis, name)]) for name in wanted if name in SUMMARY_TABLES
        }
    for name in wanted:
        if name == "messages":
            out[name] = messages_parts(collected, size)
        elif name not in out and reading is not None:
            out[name] = reading.table_parts(name, size)
    return out, warnings
