"""The tables of captures as Arrow tables, for SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pcapkit.pipeline.analyze import tables
from pcapkit.pipeline.hooks import Hooks
from pcapkit.pipeline.options import Options
from pcapkit.report.table_files import arrow_tables

if TYPE_CHECKING:
    import pyarrow as pa


def load_tables(
    paths: Sequence[str], wanted: Sequence[str], *, options: Options, hooks: Hooks | None = None
) -> tuple[dict[str, pa.Table], tuple[str, ...]]:
    """Return some tables of captures read as one, by name, and warnings. Raises InputError.

    Their times are UTC, without saying so.
    """
    import pyarrow as pa

    if not wanted:
        return {}, ()
    frames, warnings = tables(paths, wanted, options=options, hooks=hooks)
    out = {}
    for name in wanted:
        whole = pa.concat_tables(arrow_tables(frames[name]))
        for number, column in enumerate(whole.schema):
            if pa.types.is_timestamp(column.type):
                plain = whole.column(number).cast(pa.timestamp("ns", tz=column.type.tz))
                plain = plain.cast(pa.int64()).cast(pa.timestamp("ns"))
                whole = whole.set_column(number, column.name, plain)
        out[name] = whole
    return out, warnings
