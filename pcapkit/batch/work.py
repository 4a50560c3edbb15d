"""What a process does with one item of an audit: an analysis, its report, its row.

Nothing is raised that concerns one capture: failures are rows, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pcapkit.batch.finding.failures import kind_of, text_of
from pcapkit.batch.keeping.lock import check_held
from pcapkit.batch.keeping.records import digests_of
from pcapkit.batch.rows import failed_row, row_of
from pcapkit.batch.tallies.merge import merge
from pcapkit.batch.tallies.parts import merge_parts
from pcapkit.errors import InputError
from pcapkit.model.audits import AuditRow, Identity
from pcapkit.pipeline.analysis import Analysis
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.first_run import warm
from pcapkit.pipeline.options import Options
from pcapkit.report.writer import write_report
from pcapkit.text import encodable

_PAGE = "report.html"


@dataclass(frozen=True, slots=True)
class Task:
    """One item to do; ``paths`` are shown, ``sources`` opened, ``identities`` those of the files.

    ``key`` names its record; ``output`` is the audit's folder, ``folder`` the name of the report's
    folder in it.
    """

    key: str
    paths: tuple[str, ...]
    sources: tuple[str, ...] = field(repr=False)
    identities: tuple[Identity | None, ...]
    output: str
    folder: str
    formats: tuple[str, ...]
    options: Options = field(repr=False)
    of_tally: bool = False  #: its source is a tally
    tallies: tuple[str, ...] = ()  #: of its parts, where it is read in parts


@dataclass(frozen=True, slots=True)
class Done:
    """What came of a task: its row, and the names and sizes of the report's files.

    ``digests`` are of the captures' bytes, see ``Record``. ``unwritable`` says why no report can be
    written, which is no fault of the capture.
    """

    row: AuditRow
    files: tuple[tuple[str, int], ...] = ()
    digests: tuple[str | None, ...] = ()
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
    try:
        analysis = analysis_of(task)
        digests = digests_of(task.sources, task.identities)
    except Exception as problem:  # not even a fault of ours may stop the other captures
        return _failed(task, problem)
    try:
        check_held(Path(task.output))
        files = write_report(
            analysis, Path(task.output, task.folder), task.formats, tables=analysis.table_parts
        )
        sizes = tuple(sorted((file.name, file.stat().st_size) for file in files))
    except (InputError, OSError) as problem:
        return replace(_failed(task, problem), unwritable=str(problem))
    except Exception as problem:
        return _failed(task, problem)
    page = next((file for file in files if file.name == _PAGE), files[0])
    report, paths = f"{task.folder}/{page.name}", shown(task.paths)
    row = row_of(paths[0], analysis, report, paths=paths, cluster=task.options.pods)
    return Done(row, sizes, digests)


def _failed(task: Task, problem: Exception) -> Done:
    paths = shown(task.paths)
    return Done(failed_row(paths[0], text_of(paths[0], problem), kind_of(problem), paths))


def analysis_of(task: Task) -> Analysis:
    """Return the analysis of an item: of its parts, of its tally, or of its captures."""
    if task.tallies:
        return merge_parts(task.tallies, task.sources[0], task.options)
    if task.of_tally:
        return merge(*task.sources, options=task.options)
    return analyze(*task.sources, options=task.options)


def shown(paths: Sequence[str]) -> tuple[str, ...]:
    """Return paths as rows have them."""
    return tuple(map(encodable, paths))
