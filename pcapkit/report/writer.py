"""Where reports are written, and how: a report appears whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pcapkit.errors import UsageError
from pcapkit.model.results import Results
from pcapkit.model.vocabulary import CHART_NAMES, REPORT_TABLES, SUMMARY_TABLES
from pcapkit.report.analysis_json import dump_json
from pcapkit.report.folder import whole_folder
from pcapkit.report.openmetrics import FILE as METRICS
from pcapkit.report.table_files import small_table, write_table
from pcapkit.text import encodable, is_url

if TYPE_CHECKING:
    import pandas as pd

    from pcapkit.report.html.drawing import Drawn
    from pcapkit.report.html.page import Page
    from pcapkit.report.html.painter import Painter


#: Gives ``lookups`` or ``transactions`` as frames that follow one another.
RowTables = Callable[[str], "Iterator[pd.DataFrame]"]

_SUFFIXES = re.compile(
    r"\.(pcapng|pcap|cap|dmp|txt|log|jsonl|json|fstrm|dnstap|gz|zst|zstd|xz|bz2|lz4)$",
    re.IGNORECASE,
)
#: A file's name has at most 255 bytes on most file systems, and some characters have four.
_NAME_BYTES = 200
#: Says which captures a folder's report is on, so that another one of that name gets its own.
_MARK = "analysis.json"
#: The files of each format; not every report has all of them.
_OF_FORMAT: dict[str, tuple[str, ...]] = {
    "html": ("report.html",),
    "png": tuple(f"{name}.png" for name in CHART_NAMES),
    "json": (_MARK,),
    "csv": tuple(f"{table}.csv" for table in REPORT_TABLES),
    "parquet": tuple(f"{table}.parquet" for table in REPORT_TABLES),
    "md": ("report.md",),
    "openmetrics": (METRICS,),
}
_OWN = frozenset(name for names in _OF_FORMAT.values() for name in names)
#: Where it names them; the rest of it, which may be long, is not read.
_CAPTURES = re.compile(r'"captures":\s*')


def stem_of(captures: Sequence[str]) -> str:
    """Return the folder name of a report on these captures.

    Characters that a shell, a file system or a browser takes for its own become ``_``.
    """
    first = captures[0].partition("?")[0] if is_url(captures[0]) else captures[0]
    name = "stdin" if first == "-" else Path(first).name
    while (shorter := _SUFFIXES.sub("", name)) != name and shorter:
        name = shorter
    name = re.sub(r"[^\w.+-]", "_", name).lstrip(".-") or "capture"
    more = len(captures) - 1
    return f"{_cut(name, 100)}-and-{more}-more" if more else _cut(name, 120)


def _cut(name: str, characters: int) -> str:
    """Return the beginning of a name that a file system takes, with what may follow it."""
    return name[:characters].encode()[:_NAME_BYTES].decode(errors="ignore")


def report_folder(output: Path, captures: Sequence[str]) -> Path:
    """Return the folder for a report: that of an earlier report on the same captures, or a new one.

    A folder that holds another capture's report gets a ``-2``, ``-3`` and so on.
    """
    return output / ReportFolders(output, ()).name(captures)


class ReportFolders:
    """Gives names to the folders of reports, each once; ``taken`` are given out already.

    Some file systems take small and large letters for the same.
    """

    def __init__(self, output: Path, taken: Iterable[str]) -> None:
        if output.exists() and not output.is_dir():
            raise UsageError(f"--output {output}: is not a folder")
        self._output = output
        self._taken = {name.casefold() for name in taken}
        #: the next number, by the name that it follows: thousands of captures may be called alike
        self._next: dict[str, int] = {}

    def name(self, captures: Sequence[str]) -> str:
        """Return the name of the folder for a report on these captures; see ``report_folder``."""
        stem = stem_of(captures)
        number = self._next.get(stem.casefold(), 1)
        while True:
            name = stem if number == 1 else f"{stem}-{number}"
            number += 1
            if name.casefold() in self._taken:
                continue
            held = _captures_in(self._output / name)
            if held is None or held == _identity(captures):
                break
        self._taken.add(name.casefold())
        self._next[stem.casefold()] = number
        return name


def _identity(captures: Sequence[str]) -> list[str]:
    return [c if c == "stdin" or is_url(c) else encodable(os.path.abspath(c)) for c in captures]


def _captures_in(folder: Path) -> list[str] | None:
    """Return the captures whose report a folder holds, None where it holds none."""
    import json

    try:
        text = (folder / _MARK).read_text("utf-8")
        if (key := _CAPTURES.search(text)) is None:
            return []
        parts, _ = json.JSONDecoder().raw_decode(text, key.end())
        return _identity([p["path"] for p in parts])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _tables(
    analysis: Results, row_tables: RowTables
) -> Iterator[tuple[str, Iterator[pd.DataFrame]]]:
    for table in REPORT_TABLES:
        small = table in SUMMARY_TABLES
        yield table, (iter([small_table(analysis, table)]) if small else row_tables(table))


def write_report(
    analysis: Results,
    folder: Path,
    formats: Sequence[str],
    *,
    tables: RowTables,
    painter: Painter | None = None,
) -> list[Path]:
    """Write a report in every format asked for; return the paths, the main one first.

    ``tables`` gives a row table by name, as frames that follow one another.
    ``painter`` is what has begun to draw the charts, where there is one.

    It appears in one step, when the last file is whole, in the place of the one of before. Raises
    InputError where it cannot be written, a full disk too: then all is as it was.
    """
    rendered = _rendered(analysis, formats, painter)
    names: list[str] = []
    with whole_folder(folder, is_of_report, _stays(analysis, folder, formats)) as begin:

        def begun(name: str) -> IO[bytes]:
            names.append(name)
            return begin(name)

        for name, data in rendered:
            begun(name).write(data)
        for form in ("csv", "parquet"):
            if form in formats:
                for table, frames in _tables(analysis, tables):
                    write_table(frames, form, begun(f"{table}.{form}"), table=table)
    return [folder / name for name in names]


def is_of_report(name: str) -> bool:
    """Is this the name of a file that reports have?"""
    return name in _OWN


def _stays(analysis: Results, folder: Path, formats: Sequence[str]) -> Callable[[str], bool]:
    """Return which files of an earlier report stay: of formats that are not asked for now.

    Where the folder says that they tell of another analysis, none does.
    """
    now = {name for form in formats for name in _OF_FORMAT[form]}

    @cache
    def is_same() -> bool:
        try:
            return (folder / _MARK).read_bytes() == dump_json(analysis).encode()
        except FileNotFoundError:
            return True
        except OSError:
            return False

    return lambda name: name not in now and is_same()


def _rendered(
    analysis: Results, formats: Sequence[str], painter: Painter | None
) -> list[tuple[str, bytes]]:
    """Return names and contents of all but the tables, finished before the first is written."""
    png = "png" in formats
    # What waits for no chart comes first: the painter may still be at work.
    texts: list[tuple[str, bytes]] = []
    page: Page | None = None
    if "json" in formats:
        texts.append((_MARK, dump_json(analysis).encode()))
    if "md" in formats:
        from pcapkit.report.markdown import render_markdown

        texts.append(("report.md", render_markdown(analysis).encode()))
    if "openmetrics" in formats:
        from pcapkit.report.openmetrics import render_metrics

        texts.append((METRICS, render_metrics(analysis).encode()))
    if "html" in formats:
        from pcapkit.report.html.page import Page

        page = Page(analysis)
    drawn: tuple[Drawn, ...] | None = None if painter is None else painter.result()
    if drawn is None and (page is not None or png):
        from pcapkit.report.html.pictures import draw

        drawn = draw(analysis, png=png)
    drawn = drawn or ()
    pages = [] if page is None else [("report.html", page.render(drawn).encode())]
    pictures = [(f"{c.name}.png", c.png) for c in drawn if c.png is not None]
    return [*pages, *pictures, *texts]
