"""Runs of audits in files: ``history/v1/date=YYYY-MM-DD/<run>.parquet``, one a run, never changed.

``date`` is the UTC day of the run's latest packet, or of the clock where no packet has a time. The
name is a hash of what was found, so that a run that is written twice is one file.

Runs over the same captures (by another pcapkit, with other options) end at the same packet. They
stand in the order in which they were made: each has a number, one above those that its day has.
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pcapkit.batch.history.places import Place, place_of
from pcapkit.batch.history.schema import SCHEMA, completed, rows_of, table_of
from pcapkit.errors import InputError
from pcapkit.model.audits import AuditRow
from pcapkit.text import encodable, shown_path
from pcapkit.version import __version__

if TYPE_CHECKING:
    import pyarrow as pa

#: How far back what judges a night looks for others.
RECENT_DAYS = 120
_NAME_DIGITS = 16
_DAY_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One run: its name, its latest packet in ns since 1970, what it found of each capture.

    ``number`` is that among the runs of its day, 0 where no run has been given one.
    """

    name: str
    time: int
    rows: tuple[AuditRow, ...]
    number: int = 0

    @property
    def day(self) -> str:
        """The UTC day of the run."""
        return day_of(self.time)


@dataclass(frozen=True, slots=True)
class History:
    """Runs in order of time, then number; ``warnings`` say which files were left out, and why."""

    runs: tuple[Run, ...] = ()
    warnings: tuple[str, ...] = ()


def day_of(moment: int) -> str:
    """Return the UTC day of nanoseconds since 1970."""
    return (datetime(1970, 1, 1) + timedelta(days=moment // _DAY_NS)).date().isoformat()


def run_of(rows: Sequence[AuditRow]) -> Run:
    """Return what the history keeps of an audit.

    That is all but captures that are gone (earlier runs keep them), in order of their paths, and
    paths without what URLs may hold of secrets.
    """
    kept = sorted((_kept(row) for row in rows if not row.gone), key=lambda r: (r.path, r.paths))
    moment = max((r.last_time for r in kept if r.last_time is not None), default=None)
    text = json.dumps([SCHEMA, [asdict(row) for row in kept]], sort_keys=True)
    name = hashlib.sha256(text.encode()).hexdigest()[:_NAME_DIGITS]
    return Run(name, time.time_ns() if moment is None else moment, tuple(kept))


def _kept(row: AuditRow) -> AuditRow:
    """Return a row without what the output folder alone has, and without secrets."""
    path = shown_path(row.path)
    error = row.error
    if error is not None:
        for whole in (row.path, *row.paths):
            error = error.replace(whole, shown_path(whole))
        error = encodable(error)
    paths = tuple(shown_path(p) for p in row.paths)
    return replace(
        row,
        path=path,
        paths=paths,
        error=error,
        report=None,
        advice=None,
        saves_queries=0,
        steps=(),
    )


def add_run(where: str | Path, rows: Sequence[AuditRow]) -> str | None:
    """Add a run to the history in a folder or at a URL; returns its path there.

    A run that is there already stays as it is. None where nothing was found, or all of it is gone.
    Raises InputError where it cannot be written, UsageError where a package for the URL is missing.
    """
    run = run_of(rows)
    if not run.rows:
        return None
    place = place_of(where)
    for path in place.paths():
        if path.endswith(f"/{run.name}.parquet") and _is_good(place, path):
            return path
    folder = f"history/v1/date={run.day}"
    path = f"{folder}/{run.name}.parquet"
    place.write(path, _parquet(replace(run, number=1 + _last_number(place, folder))))
    return path


def _last_number(place: Place, folder: str) -> int:
    """Return the largest number of a run in a day's folder, 0 where there is none."""
    numbers = [0]
    for path in place.paths():
        if path.rpartition("/")[0] == folder:
            try:
                numbers.append(_number(_read(place, path)))
            except (InputError, ValueError):
                continue  # who reads the history is told of it
    return max(numbers)


def _is_good(place: Place, path: str) -> bool:
    try:
        _read(place, path)
    except (InputError, ValueError):
        return False
    return True


def _parquet(run: Run) -> bytes:
    import pyarrow.parquet as pq

    values = {"name": run.name, "time": run.time, "number": run.number, "version": __version__}
    out = io.BytesIO()
    pq.write_table(table_of(values, run.rows), out, compression="zstd")
    return out.getvalue()


def _read(place: Place, path: str) -> pa.Table:
    """Return a run's table with all columns of today. Raises InputError or ValueError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    data = place.read(path)
    if not data:
        raise ValueError("it is empty")
    try:
        table = pq.read_table(io.BytesIO(data))
    except (pa.ArrowException, OSError):
        raise ValueError("no Parquet file, or a torn one") from None
    return _named(completed(table), path)


def _named(table: pa.Table, path: str) -> pa.Table:
    """Give a table its run's name and time, where it has none, from its path.

    Raises ValueError where the path has no day.
    """
    import pyarrow as pa

    day = _day(path)
    if day is None:
        raise ValueError("its folder names no day")
    name = path.rpartition("/")[2].removesuffix(".parquet")
    since = day - date(1970, 1, 1).toordinal()
    known = {"run": name, "run_time": since * _DAY_NS, "run_number": 0}
    for name, value in known.items():
        at = table.schema.get_field_index(name)
        if table.column(name).null_count:
            field = table.schema.field(at)
            column = pa.array([value] * len(table), pa.int64() if name != "run" else None)
            table = table.set_column(at, field, column.cast(field.type))
    return table


def read_tables(
    where: str | Path, *, days: int | None = None
) -> tuple[list[pa.Table], tuple[str, ...]]:
    """Return the table of each run, in order of time, and why other files were left out.

    All have the columns of today. With ``days`` only those of so many days up to the newest one.
    Raises InputError where the place cannot be read.
    """
    place = place_of(where)
    found, warnings = [], []
    paths = place.paths()
    if days is not None:
        last = max((d for p in paths if (d := _day(p)) is not None), default=0)
        paths = [p for p in paths if (_day(p) or last) > last - days]
    for path in paths:
        try:
            table = _read(place, path)
        except InputError as problem:
            warnings.append(f"{problem}; left out")
        except ValueError as problem:
            warnings.append(f"{encodable(place.name)}/{encodable(path)}: {problem}; left out")
        else:
            if len(table):
                found.append(table)
    found.sort(key=_order)
    return found, tuple(warnings)


def _day(path: str) -> int | None:
    """Return the day of a run's path, counted from an early one; None where it names none."""
    try:
        return date.fromisoformat(path.rpartition("/")[0].rpartition("=")[2]).toordinal()
    except ValueError:
        return None


def _order(table: pa.Table) -> tuple[int, int, str]:
    """Return by what a run stands among others: its time, its number, then its name."""
    import pyarrow as pa

    moment = table.column("run_time")[0].cast(pa.int64()).as_py()
    return moment, _number(table), table.column("run")[0].as_py()


def _number(table: pa.Table) -> int:
    return table.column("run_number")[0].as_py() or 0 if len(table) else 0


def read_history(where: str | Path, *, days: int | None = RECENT_DAYS) -> History:
    """Return the runs of a folder or URL; empty where there is no history yet.

    Of so many days up to the newest one, which is more than nights are judged by; None: all.

    Raises InputError where the place cannot be read, UsageError where a package is missing.
    """
    tables, warnings = read_tables(where, days=days)
    return History(runs_of(tables), warnings)


def no_history(where: str | Path, warnings: Sequence[str]) -> InputError:
    """Return what to raise where runs are needed and there are none."""
    found = f"; {warnings[0]}" if warnings else ""
    problem = f"no run of a history under history/v1{found}"
    return InputError(str(where), problem, hint="'audit --history' adds runs")


def runs_of(tables: Sequence[pa.Table]) -> tuple[Run, ...]:
    """Return runs from their tables."""
    runs = []
    for table in tables:
        moment, number, name = _order(table)
        runs.append(Run(name, moment, rows_of(table), number))
    return tuple(runs)
