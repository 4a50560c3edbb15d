"""SQL over tables in memory: DuckDB, which reads them where they are.

A query sees the tables that it names and nothing else: no file, no network, no setting and no
variable of this process. Only those tables are made, since some take long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pcapkit.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

_LOCKED = (
    "python_enable_replacements=false",
    "autoinstall_known_extensions=false",
    "autoload_known_extensions=false",
    "temp_directory=''",
    "enable_external_access=false",
    "lock_configuration=true",
)
#: Kinds of statements that only read. A PIVOT is several.
_READS = ("SELECT", "EXPLAIN", "MULTI")
_WORD = re.compile(r"\w+")
_PLACE = re.compile(r"^LINE (\d+): (.*)\n( *)\^", re.MULTILINE)


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise UsageError(
            "SQL needs the extra 'sql': pip install 'pcapkit-dns[sql]' (DuckDB)"
        ) from None
    return duckdb


class Database:
    """Tables in memory, and one query over them."""

    def __init__(self, query: str, *, unsafe: bool = False) -> None:
        """Take a query, which may reach files and change things only where it is ``unsafe``.

        Raises UsageError where it is no SQL, more than one statement, or does more than read, and
        where DuckDB is not installed.
        """
        self._duckdb = _duckdb()
        self._query = query
        self._connection = self._duckdb.connect(":memory:")
        if not unsafe:  # before anything looks at the query
            for setting in _LOCKED:
                self._connection.execute(f"set {setting}")
        elif "://" not in query:  # DuckDB would fetch an extension that it lacks
            self._connection.execute("set autoinstall_known_extensions=false")
        try:
            statements = self._connection.extract_statements(query)
        except self._duckdb.Error as problem:
            raise UsageError(_told(problem)) from None
        if len(statements) != 1:
            raise UsageError(f"query: it has {len(statements)} statements; give one")
        kind = statements[0].type.name
        if kind not in _READS and not unsafe:
            raise UsageError(f"query: {kind} does more than read; SELECT does not (or --unsafe)")

    def named(self, tables: Sequence[str]) -> tuple[str, ...]:
        """Return which of some tables the query may name, in their order."""
        words = {word.lower() for word in _WORD.findall(self._query)}
        if not words & {"query", "query_table"}:  # they take a query, or a name, as text
            try:
                found = self._connection.get_table_names(self._query)
            except self._duckdb.Error:
                pass  # it cannot be said before the tables are there
            else:
                words = {name.lower() for name in found}
        return tuple(name for name in tables if name in words)

    def run(
        self, tables: Mapping[str, pa.Table], views: Mapping[str, str], known: Sequence[str]
    ) -> pa.Table:
        """Return the result; ``views`` are queries by name, ``known`` all tables there could be.

        Raises UsageError where the query fails.
        """
        con = self._connection
        for name, table in tables.items():
            con.register(name, table)
        for name, query in views.items():
            con.execute(f'create view "{name}" as {query}')
        try:
            result = con.sql(self._query)
            return None if result is None else result.to_arrow_table()
        except self._duckdb.CatalogException:
            raise UsageError(f"{self._place()} (tables: {', '.join(known)})") from None
        except self._duckdb.BinderException:
            raise UsageError(self._place()) from None
        except self._duckdb.Error as problem:
            raise UsageError(_told(problem)) from None

    def _place(self) -> str:
        """Return what is wrong with the query, from the call that says at which place of it."""
        try:
            self._connection.execute(self._query)
        except self._duckdb.Error as problem:
            return _told(problem)
        return "query: it cannot be bound"


def _told(problem: Exception) -> str:
    """Return DuckDB's message in one line, with the place that it points at."""
    text = str(problem).strip()
    place, shown = "query", ""
    if found := _PLACE.search(text):
        at = len(found[3]) - len(f"LINE {found[1]}: ")
        place = f"query, line {found[1]}"
        if rest := found[2][at : at + 30].strip():
            shown = f", at {rest!r}"
    return f"{place}{shown}: {text.splitlines()[0]}"
