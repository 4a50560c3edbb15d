"""The public door: what an analysis found, with its tables, its charts and its renderers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pcapkit.files import atomic_write
from pcapkit.model.results import Results
from pcapkit.model.vocabulary import SUMMARY_TABLES
from pcapkit.text import shown_path

if TYPE_CHECKING:
    import pandas as pd

    from pcapkit.report.html.plots import Plots


class RowTables(Protocol):
    """What builds the row tables ``messages``, ``transactions`` and ``lookups`` when asked."""

    def table_parts(self, name: str, size: int | None) -> Iterator[pd.DataFrame]:
        """Give a table as frames of about ``size`` rows, at least one; None: all in one.

        Raises UsageError where there is no table of that name.
        """


@dataclass(frozen=True, repr=False)
class Analysis(Results):
    """The results of one analysis, and what can be made of them: tables, charts, JSON, a page.

    The tables are frames, made when they are asked for: ``lookups``, ``transactions``,
    ``messages``, ``clients``, ``workloads``, ``names``, ``what_if``; ``columns(table)`` says what
    stands in each column. The other attributes are the parts of ``analysis.json`` as records: what
    the JSON calls ``lookups`` is ``lookup_counts``, its rows of ``clients`` are ``client_rows``.
    """

    row_tables: RowTables = field(repr=False, compare=False, kw_only=True)

    @classmethod
    def of(cls, results: Results, row_tables: RowTables) -> Analysis:
        """Return results with the doors to their row tables."""
        values = {f.name: getattr(results, f.name) for f in fields(Results)}
        return cls(**values, row_tables=row_tables)

    def __repr__(self) -> str:
        waste, what = self.waste, shown_path(self.captures[0].path) if self.captures else "nothing"
        if (more := len(self.captures) - 1) > 0:
            what += f" and {more} more"
        return (
            f"<Analysis of {what}: {self.lookup_counts.total:,} lookups, {waste.queries:,} "
            f"queries, {waste.wasted_queries:,} wasted>"
        )

    def __dir__(self) -> list[str]:
        """List what there is to look at, without what only Python needs."""
        hidden = {"row_tables", "of"}
        return sorted(
            name for name in super().__dir__() if not name.startswith("_") and name not in hidden
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the verdict, and the plan's steps."""
        from pcapkit.report.html.notebook import render_notebook

        return render_notebook(self)

    @property
    def plot(self) -> Plots:
        """The charts of the report, one by one: ``plot.plan()``, ``plot.what_if()`` ..."""
        from pcapkit.report.html.plots import Plots

        return Plots(self)

    def columns(self, table: str) -> dict[str, str]:
        """Return what stands in each column of a table. Raises UsageError where there is none."""
        from pcapkit.model.columns import describe

        return describe(table)

    def table(self, name: str) -> pd.DataFrame:
        """Build a table by name. Raises UsageError where there is none, or it was not kept."""
        if name in SUMMARY_TABLES:
            from pcapkit.report.table_files import small_table

            return small_table(self, name)
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

    @property
    def messages(self) -> pd.DataFrame:
        """The messages table. Raises UsageError but where ``analyze`` was to keep messages."""
        return self.table("messages")

    @property
    def clients(self) -> pd.DataFrame:
        """The clients table: a row for each client and period of constant settings."""
        return self.table("clients")

    @property
    def workloads(self) -> pd.DataFrame:
        """The workloads table: a row for each workload, or client of which none is known."""
        return self.table("workloads")

    @property
    def names(self) -> pd.DataFrame:
        """The names table: a row for each base name and what answered it, the costliest first."""
        return self.table("names")

    @property
    def what_if(self) -> pd.DataFrame:
        """The what-if table: a row for each setting, of all clients and of each."""
        return self.table("what_if")

    def to_json(self) -> str:
        """Return the analysis as JSON text, schema ``pcapkit.analysis/1``."""
        from pcapkit.report.analysis_json import dump_json

        return dump_json(self)

    def to_html(self, path: str | Path) -> None:
        """Write the report, one self-contained page, as a whole. Raises InputError."""
        from pcapkit.report.html.page import render_page

        atomic_write(Path(path), render_page(self).encode())
