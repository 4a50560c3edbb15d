"""Tables as the page's templates take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: What a template is given.
Context = Mapping[str, Any]
#: More rows are in the tables and in the JSON.
MOST_ROWS = 500


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], total: int) -> Context:
    """A table for the page; columns with # hold numbers, with @ names."""
    return {"columns": columns, "rows": rows, "left_out": total - len(rows)}
