"""What an output folder need not keep: results of what is gone, and what a kill has left."""

from __future__ import annotations

import os
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from pcapkit.batch.keeping.records import FOLDER as RECORDS
from pcapkit.batch.keeping.records import Record, Records
from pcapkit.files import sweep
from pcapkit.report.writer import is_of_report

TALLIES = "tallies"
#: Files of the folder itself.
INDEX = ("index.html", "audit.json", "audit.parquet", "looks.json", "metrics.prom")


def prune(output: Path, records: Records, wanted: AbstractSet[str]) -> None:
    """Remove the records of all keys but ``wanted``, with their reports and tallies.

    Of a report only the files go that its record names.
    """
    others = [record for key, record in records.known.items() if key not in wanted]
    kept = {record.folder for key, record in records.known.items() if key in wanted}
    for record in others:
        if record.folder not in kept:
            remove_report(output, record)
    records.prune(wanted)
    for path in _files(output / TALLIES):
        if path.name.partition(".")[0] not in wanted:
            path.unlink(missing_ok=True)


def remove_report(output: Path, record: Record, keep: AbstractSet[str] = frozenset()) -> None:
    """Remove the files of a report, and its folder where that is empty then."""
    if not record.folder:
        return
    folder = output / record.folder
    for name, _ in record.files:
        if name not in keep and os.path.basename(name) == name:
            with suppress(FileNotFoundError, NotADirectoryError):
                (folder / name).unlink()
    with suppress(OSError):  # there is something else in it, or it is not there
        folder.rmdir()


def sweep_all(output: Path) -> None:
    """Remove what a killed audit has begun to write, in the folder and those that it keeps."""
    for folder in (output, output / RECORDS, output / TALLIES):
        sweep(folder, is_of_report)


def _files(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.is_file(follow_symlinks=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
