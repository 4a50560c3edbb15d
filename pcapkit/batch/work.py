"""What a process does with one item of an audit: an analysis, its report, its row.

Nothing is raised that concerns one capture: failures are rows, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pcapkit.batch.failures import kind_of
from pcapkit.batch.rows import failed_row, row_of
from pcapkit.errors import PcapkitError
from pcapkit.model.audits import AuditRow
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.first_run import warm
from pcapkit.pipeline.options import Options
from pcapkit.report.writer import write_report
from pcapkit.text import encodable

_PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class Task:
    """One item to do; ``paths`` are shown, ``sources`` opened.

    ``key`` names its record; ``output`` is the audit's folder, ``folder`` the name of the report's
    folder in it.
    """

    key: str
    paths: tuple[str, ...]
    sources: tuple[str, ...] = field(repr=False)
    output: str
    folder: str
    formats: tuple[str, ...]
    options: Options = field(repr=False)


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task: its row, and the names and sizes of the report's files.

    ``unwritable`` says why no report can be written, which is no fault of the capture.
    """

    row: AuditRow
    files: tuple[tuple[str, int], ...] = ()
    unwritable: str | None = None


def prepare(formats: Sequence[str]) -> None:
    """Load all that tasks need, before processes are forked."""
    warm()
    if "html" in formats:
        from pcapkit.report.html.page import environment

        environment()
    if {"html", "png"} & set(formats):
        import pcapkit.report.html.charts  # noqa: F401


def do(task: Task) -> Done:
    """Analyse one item and write its report."""
    path = encodable(task.paths[0])
    try:
        analysis = analysis_of(task)
    except Exception as problem:  # not even a fault of ours may stop the other captures
        return Done(failed_row(path, _text(path, problem), kind_of(problem), shown(task.paths)))
    try:
        files = write_report(
            analysis, Path(task.output, task.folder), task.formats, tables=analysis.table_parts
        )
        sizes = tuple(sorted((file.name, file.stat().st_size) for file in files))
    except PcapkitError as problem:
        row = failed_row(path, str(problem), kind_of(problem), shown(task.paths))
        return Done(row, unwritable=str(problem))
    except Exception as problem:
        return Done(failed_row(path, _text(path, problem), kind_of(problem), shown(task.paths)))
    page = next((file for file in files if file.name == _PAGE), files[0])
    report = f"{task.folder}/{page.name}"
    row = row_of(path, analysis, report, paths=shown(task.paths), cluster=task.options.pods)
    return Done(row, sizes)


def analysis_of(task: Task) -> Analysis:
    """Return the analysis of an item."""
    return analyze(*task.sources, options=task.options)


def shown(paths: Sequence[str]) -> tuple[str, ...]:
    """Return paths as rows have them."""
    return tuple(map(encodable, paths))


def _text(path: str, problem: Exception) -> str:
    if isinstance(problem, PcapkitError):
        return str(problem)
    if isinstance(problem, MemoryError):
        return f"{path}: needs more memory than there is"
    return f"{path}: {type(problem).__name__}: {problem} (a fault of pcapkit)"
