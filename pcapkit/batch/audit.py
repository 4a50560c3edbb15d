"""Lead an audit: find what is new, have it done, keep what came of it, and write the index.

A capture that cannot be read is a row with its error; the others go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pcapkit.batch.engines.engine import Engine, Job, Outcome
from pcapkit.batch.finding.catalog import Item
from pcapkit.batch.finding.shares import Failed, Share, save_share
from pcapkit.batch.history.runs import add_run, read_history
from pcapkit.batch.history.series import trend_rows
from pcapkit.batch.history.trends import judge
from pcapkit.batch.keeping.lock import NAME as LOCK
from pcapkit.batch.keeping.lock import check_held
from pcapkit.batch.keeping.prune import INDEX, TALLIES, prune, remove_report, sweep_all
from pcapkit.batch.keeping.records import FOLDER as RECORDS
from pcapkit.batch.keeping.records import SCHEMA as RECORD_SCHEMA
from pcapkit.batch.keeping.records import Record, Records, absolute, digest, key_of
from pcapkit.batch.overview.groups import GroupBy
from pcapkit.batch.overview.index import make_index, write_index
from pcapkit.batch.rows import failed_row
from pcapkit.batch.tallies.merge import SUFFIX
from pcapkit.batch.tallies.parts import (
    PartTask,
    ShareTask,
    is_of_captures,
    parts_of,
    read_part,
    write_share,
)
from pcapkit.batch.work import Done, Task, do, shown
from pcapkit.concurrency import close
from pcapkit.errors import PcapkitError
from pcapkit.model.audits import AuditIndex, AuditRow
from pcapkit.model.trends import Change
from pcapkit.pipeline.options import Options
from pcapkit.report.audit_files import SCHEMA
from pcapkit.report.openmetrics import FILE as METRICS
from pcapkit.report.writer import ReportFolders, stem_of
from pcapkit.text import encodable
from pcapkit.version import __version__

#: Names in the output folder that are no report's.
_RESERVED = (*INDEX, METRICS, LOCK, RECORDS, TALLIES, "history")
#: Failures that the same bytes always lead to: no later run need try again.
_LASTING = frozenset({"empty", "not-a-capture", "damaged", "options"})


@dataclass(slots=True)
class _Plan:
    """What is known of each item before anything is done."""

    rows: dict[str, AuditRow] = field(default_factory=dict)  # by key
    tasks: dict[str, tuple[Item, Task]] = field(default_factory=dict)


class Audit:
    """An audit of one output folder, whose lock is held; it may run again and again.

    ``say`` gets lines of what a user should know, ``fail`` one for each capture that failed.
    ``each`` gets the captures done, those in all, and bytes: first of all that are to be done, then
    of each that is.
    """

    def __init__(
        self,
        output: Path,
        formats: Sequence[str],
        options: Options,
        *,
        group_by: GroupBy | None = None,
        history: str | Path | None = None,
        say: Callable[[str], None],
        fail: Callable[[str], None],
        each: Callable[[int, int, int], None] = lambda done, total, size: None,
    ) -> None:
        self._output, self._formats, self._options = output, tuple(formats), options
        self._group_by, self._history, self._each = group_by, history, each
        self._say, self._tell_failure = say, fail
        self._settings = digest([options, sorted(set(formats)), __version__, SCHEMA, RECORD_SCHEMA])
        self._records = Records(output, say)
        self._swept = False
        self._said: set[str] = set()
        #: what the last run shows against the history before it
        self.changes: tuple[Change, ...] = ()

    def run(
        self,
        items: Sequence[Item],
        engine: Engine,
        asked: Sequence[str] = (),
        *,
        only_these: bool = False,
    ) -> AuditIndex:
        """Do what is new among the items, and write the index over all of them.

        ``asked`` are the paths under which they were found. With ``only_these``, what is kept of
        other items, options and versions is removed. Raises PcapkitError where the output folder
        cannot be written.
        """
        plan = self._plan(items)
        if not self._swept:
            sweep_all(self._output)
            self._swept = True
        try:
            self._do(plan, engine)
        finally:  # processes that did not end well may have left something, too
            sweep_all(self._output)
        if only_these:
            prune(self._output, self._records, {self._key(item) for item in items})
        return self._indexed(plan, items, asked)

    def index(self, items: Sequence[Item], asked: Sequence[str] = ()) -> AuditIndex:
        """Write the index over what is done of the items, and do nothing else."""
        return self._indexed(self._plan(items), items, asked)

    def _indexed(self, plan: _Plan, items: Sequence[Item], asked: Sequence[str]) -> AuditIndex:
        check_held(self._output)
        rows = [*plan.rows.values(), *self._gone(items, asked)]
        trend = None
        if self._history is not None:
            before = read_history(self._history)
            for warning in before.warnings:
                self._say(f"warning: {warning}")
            self.changes, trend = judge(before, rows), trend_rows(before, rows)
        index = make_index(rows, self._group_by, trend)
        write_index(self._output, index, metrics="openmetrics" in self._formats)
        if self._history is not None:
            add_run(self._history, index.captures)
        return index

    def _key(self, item: Item) -> str:
        return key_of(absolute(item.paths), self._settings)

    def _plan(self, items: Sequence[Item]) -> _Plan:
        """Return rows of what is known, tasks for what is new.

        A report's folder stays with its captures; new ones get names in the order of their paths.
        """
        plan, known = _Plan(), self._records.known
        held = {record.paths: record.folder for record in known.values() if record.folder}
        folders = ReportFolders(self._output, [*_RESERVED, *held.values()])
        for item in sorted(items, key=lambda item: item.paths):
            key, paths = self._key(item), absolute(item.paths)
            if item.error is not None:
                plan.rows[key] = failed_row(
                    encodable(item.path), item.error, item.error_kind, shown(item.paths)
                )
                self._fail(item.error)
                continue
            record = known.get(key)
            if record and record.has_report(self._output) and self._is_same(record, item):
                plan.rows[key] = replace(
                    record.row, path=encodable(item.path), paths=shown(item.paths)
                )
                if record.row.error is not None:
                    self._fail(record.row.error)
                continue
            folder = held.get(paths) or folders.name(item.paths)
            task = Task(
                key,
                item.paths,
                item.sources,
                item.identities,
                str(self._output),
                folder,
                self._formats,
                self._options,
                item.of_tally,
            )
            plan.tasks[key] = item, task
        return plan

    def _is_same(self, record: Record, item: Item) -> bool:
        """Is an item what a record is of? Files are read only where what tells them apart differs.

        The record then tells of the files that are there now.
        """
        if record.is_of(item.identities):
            return True
        if not record.has_bytes_of(item.sources, item.identities):
            return False
        self._records.save(replace(record, identities=item.identities))
        return True

    def _do(self, plan: _Plan, engine: Engine) -> None:
        """Have all tasks done; their rows and records are kept as they come."""
        before = {key: self._forget(absolute(task.paths)) for key, (_, task) in plan.tasks.items()}
        total = len(plan.rows) + len(plan.tasks)
        jobs: list[Job] = []
        waiting: dict[str, list[PartTask]] = {}
        for key, (item, task) in plan.tasks.items():
            name = encodable(item.path)
            if parts := self._parts(item, task):
                waiting[key] = parts
                size, needs = item.size // len(parts), self._needs(task)
                jobs += [Job(name, read_part, part, size, needs) for part in parts]
            else:
                jobs.append(Job(name, do, task, item.size, self._needs(task)))
        left = {key: len(parts) for key, parts in waiting.items()}
        failed: dict[str, str] = {}

        def more(outcome: Outcome) -> list[Job]:
            part = outcome.job.argument
            if not isinstance(part, PartTask):
                return []
            left[part.key] -= 1
            if problem := outcome.problem or outcome.result:
                failed.setdefault(part.key, problem)
            if left[part.key] or part.key in failed:
                return []
            tallies = tuple(each.output for each in waiting[part.key])
            whole = replace(plan.tasks[part.key][1], tallies=tallies)
            return [Job(outcome.job.name, do, whole, 0, outcome.job.needs)]

        self._each(len(plan.rows), total, sum(job.weight for job in jobs))
        outcomes = engine.outcomes(jobs, more)
        try:
            for outcome in outcomes:
                argument = outcome.job.argument
                key, ended = argument.key, not isinstance(argument, PartTask)
                if key in failed and not left[key]:  # no part of it is of use alone
                    outcome, ended = replace(outcome, result=None, problem=failed[key]), True
                if ended:
                    plan.rows[key] = self._take(plan.tasks[key], outcome, before[key])
                self._each(len(plan.rows), total, outcome.job.weight)
        finally:
            close(outcomes)  # nobody writes any more

    def _parts(self, item: Item, task: Task) -> list[PartTask]:
        """Return the parts in which a large capture is read; none where it is read at once."""
        if item.of_tally or len(item.sources) > 1:
            return []
        name = f"{task.key}.{digest([item.identities])[:16]}"
        return parts_of(task.key, name, item.sources[0], self._output / TALLIES, self._options)

    def share(self, items: Sequence[Item], number: int, shares: int, engine: Engine) -> int:
        """Write the tallies of share ``number``, from 0, of so many; return how many failed.

        Items take turns in the order of their paths, so that all shares together have each once.
        What failed is tried again, and said again, each time; so is what is torn.
        """
        folder = self._output / TALLIES
        folder.mkdir(exist_ok=True)  # a share may be of nothing
        jobs, names = [], []
        for item in sorted(items, key=lambda item: item.paths)[number::shares]:
            key = digest([item.paths, item.identities, self._options, __version__])
            paths = shown(item.paths)
            output = folder / f"{stem_of(item.paths)}.{key}{SUFFIX}"
            names.append(output.name)
            if item.error is None and is_of_captures(output):
                continue
            error, kind = item.error, item.error_kind
            if item.of_tally:
                error = f"{paths[0]}: a tally already: shares are made of captures"
                kind = "options"
            task = ShareTask(item.paths, item.sources, str(output), self._options, error, kind)
            jobs.append(Job(paths[0], write_share, task, item.size, self._needs(task)))
        sweep_all(self._output)
        self._each(0, len(jobs), sum(job.weight for job in jobs))
        failures, failed = 0, []
        for done, outcome in enumerate(engine.outcomes(jobs, lambda outcome: ()), 1):
            if problem := outcome.problem or outcome.result:
                failures += 1
                self._fail(problem)
            if outcome.problem:  # whoever died has written no tally
                names.remove(os.path.basename(outcome.job.argument.output))
                failed.append(Failed(shown(outcome.job.argument.paths), outcome.problem))
            self._each(done, len(jobs), outcome.job.weight)
        check_held(self._output)
        failed.sort(key=lambda f: f.paths)
        save_share(folder, Share(number, shares, tuple(names), tuple(failed)))
        return failures

    def _needs(self, task: Task | ShareTask) -> tuple[str, ...]:
        """Return what a task needs to be there: the captures, and an output folder that is ours."""
        files = [source for source in task.sources if "://" not in source]
        return *files, str(self._output / LOCK)

    def _forget(self, paths: tuple[str, ...]) -> list[Record]:
        """Remove the records of captures whose report is about to be written; return them.

        A record says what stands in its folder, and a killed audit may leave something else there.
        """
        found = [r for r in self._records.of(paths) if r.folder]
        for record in found:
            self._records.remove(record.key)
        return found

    def _take(
        self, planned: tuple[Item, Task], outcome: Outcome, before: Sequence[Record]
    ) -> AuditRow:
        """Keep what came of a task, and return its row."""
        item, task = planned
        done: Done | None = outcome.result
        if done is None:
            path = encodable(item.path)
            problem = f"{path}: {outcome.problem}"
            done = Done(failed_row(path, problem, "crashed", shown(item.paths)))
        check_held(self._output)
        if done.unwritable is not None:
            raise PcapkitError(f"{done.unwritable}; what was done is kept: audit again")
        for record in before:
            remove_report(self._output, record, {name for name, _ in done.files})
        row = done.row
        if row.error is not None:
            self._fail(row.error)
        if row.error is None or row.error_kind in _LASTING:
            record = Record(
                RECORD_SCHEMA,
                self._settings,
                absolute(item.paths),
                item.identities,
                task.folder if done.files else "",
                done.files,
                row,
                done.digests,
            )
            row = self._records.save(record).row
        return row

    def _fail(self, problem: str) -> None:
        """Say what failed, once."""
        if problem not in self._said:
            self._said.add(problem)
            self._tell_failure(f"failed: {problem}")

    def _gone(self, items: Sequence[Item], asked: Sequence[str]) -> list[AuditRow]:
        """Return the rows of captures that an earlier audit has read, and that are gone.

        Of URLs only those are looked for that were asked for.
        """
        here = {path for item in items for path in absolute(item.paths)}
        known = self._records.known
        keys = {self._key(item) for item in items}
        content = {known[key].digests for key in keys if key in known}
        roots = tuple(path.rstrip("/") + "/" for path in asked if "://" in path)

        def is_gone(path: str) -> bool:
            if "://" in path:
                return path.startswith(roots)
            return not os.path.lexists(path)

        return [
            replace(record.row, gone=True)
            for record in self._records.known.values()
            if record.folder
            and not here.intersection(record.paths)
            and all(map(is_gone, record.paths))
            and (None in record.digests or record.digests not in content)  # it was renamed
        ]
