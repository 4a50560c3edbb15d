"""Analyse every capture under some folders: one report each, and an index that ranks them.

A capture that cannot be read is a row with its error; the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pcapkit.batch.catalog import Found
from pcapkit.batch.overview.groups import GroupBy
from pcapkit.batch.overview.index import make_index, write_index
from pcapkit.batch.rows import error_kind, failed_row, row_of
from pcapkit.errors import PcapkitError
from pcapkit.model.audits import AuditIndex, AuditRow
from pcapkit.pipeline.analyze import analyze
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options
from pcapkit.report.writer import report_folder, write_report
from pcapkit.text import encodable


def run_audit(
    found: Sequence[Found],
    output: Path,
    formats: Sequence[str],
    options: Options,
    *,
    group_by: GroupBy | None = None,
    say: Callable[[str], None],
    hooks: Hooks | None = None,
    each: Callable[[int, int], None] | None = None,
) -> AuditIndex:
    """Analyse every capture that was found and write reports and ``index.html`` to ``output``.

    ``say`` gets one line for each capture that failed, ``each`` the captures done and to do.
    """
    rows: list[AuditRow] = []
    folders: list[Path] = []
    for number, item in enumerate(found):
        if each is not None:
            each(number, len(found))
        if item.error is not None:
            rows.append(failed_row(encodable(item.path), item.error))
            say(item.error)
            continue
        path = encodable(item.path)
        try:
            analysis = analyze(item.path, options=options, hooks=hooks)
            folder = report_folder(output, [item.path], folders)
            folders.append(folder)
            written = write_report(analysis, folder, formats, tables=analysis.table_parts)
        except Exception as problem:  # not even a fault of ours may stop the other captures
            text = str(problem)
            if not isinstance(problem, PcapkitError):
                text = f"{path}: {type(problem).__name__}: {text} (a fault of pcapkit)"
            rows.append(failed_row(path, text, error_kind(problem)))
            say(text)
            continue
        page = next((p for p in written if p.name == "report.html"), written[0])
        report = page.relative_to(output).as_posix()
        rows.append(row_of(path, analysis, report, cluster=options.pods))
    if each is not None:
        each(len(found), len(found))
    index = make_index(rows, group_by)
    write_index(output, index)
    return index
