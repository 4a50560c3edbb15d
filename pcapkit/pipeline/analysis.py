"""The public door: what an analysis found, with its row tables and its renderers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pcapkit.files import atomic_write
from pcapkit.model.results import Results

if TYPE_CHECKING:
    import pandas as pd


class RowTables(Protocol):
    """What builds the row tables ``messages``, ``transactions`` and ``lookups`` when asked."""

    def table_parts(self, name: str, size: int | None) -> Iterator[pd.DataFrame]:
        """Give a table as frames of about ``size`` rows, at least one; None: all in one.

        Raises UsageError where there is no table of that name.
        """


@dataclass(frozen=True)
class Analysis(Results):
    """The results of one analysis, and what can be made of them: tables, JSON, a page."""

    row_tables: RowTables = field(repr=False, compare=False)

    @classmethod
    def of(cls, results: Results, row_tables: RowTables) -> Analysis:
        """Return results with the doors to their row tables."""
        values = {f.name: getattr(results, f.name) for f in fields(Results)}
        return cls(**values, row_tables=row_tables)

    def table(self, name: str) -> pd.DataFrame:
        """Build a row table by name. Raises UsageError where there is none."""
        return next(self.table_parts(name, None))

    def table_parts(self, name: str, size: int | None = 1 << 16) -> Iterator[pd.DataFrame]:
        """Give a row table as frames that follow one another, of about ``size`` rows."""
        return self.row_tables.table_parts(name, size)

    @property
    def lookups(self) -> pd.DataFrame:
        """The lookups table, built now."""
        return self.table("lookups")

    @property
    def transactions(self) -> pd.DataFrame:
        """The transactions table, built now."""
        return self.table("transactions")

    def to_json(self) -> str:
        """Return the analysis as JSON text, schema ``pcapkit.analysis/1``."""
        from pcapkit.report.analysis_json import dump_json

        return dump_json(self)

    def to_html(self, path: str | Path) -> None:
        """Write the report, one self-contained page, as a whole. Raises InputError."""
        from pcapkit.report.html.page import render_page

        atomic_write(Path(path), render_page(self).encode())
