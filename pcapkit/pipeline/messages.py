"""The messages of a capture as frames, without reading them into lookups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pcapkit.concurrency import close
from pcapkit.ingest.duplicates import DuplicateFilter
from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.inputs.source import open_source
from pcapkit.pipeline.collect import Collected
from pcapkit.pipeline.options import Options
from pcapkit.pipeline.selection import Wanted

if TYPE_CHECKING:
    import pandas as pd


def read_messages(path: str | Path, *, options: Options | None = None) -> Iterator[pd.DataFrame]:
    """Yield the messages of a capture, duplicates among them, window by window.

    Each frame has the columns of the ``messages`` table. Raises InputError where the capture cannot
    be read.
    """
    from pcapkit.analysis.tables.frames import messages_table

    options = options or Options()
    named = Collected()
    wanted, duplicates = Wanted(options, named.interners), DuplicateFilter()
    with open_source(str(path), options.limits) as source:
        capture = open_capture(source, named.interners, ports=options.ports | {53})
        try:
            for window in capture.windows:
                rows = wanted.keep(window.messages)
                yield messages_table(
                    [(0, rows, duplicates.mark(rows).original)],
                    [capture.path],
                    named.address,
                    named.name,
                    has_clock=capture.has_clock,
                )
        finally:
            close(capture.windows)
