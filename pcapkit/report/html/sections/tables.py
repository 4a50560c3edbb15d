"""Tables as the page's templates take them, and names in prose.

A page's script sorts, filters and folds them; without it they are plain and whole.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from pcapkit.limits import DEFAULTS, Limits
from pcapkit.model.results import Results
from pcapkit.report.text.formatting import number, printable

#: What a template is given.
Context = Mapping[str, Any]
#: So many rows are shown at first where there is a script.
FIRST_ROWS = 10
#: Longer values are also shown to whom points at them, for their columns may be narrow.
_LONG = 48
#: What the first characters of columns say of their cells.
_KINDS = {"#": "number", "@": "name"}
#: Around a name that is known to be one; no printable text has them.
_BEGIN, _END = "\x02", "\x03"
#: What looks like a name of two labels or more, or an IPv4 address. A dot at the end of a sentence
#: is none of the name's.
_NAME = re.compile(
    rf"{_BEGIN}([^{_END}]*){_END}"
    r"|(?<![\w.@/-])((?:[\w*-]+\.)+(?=[\w-]*[^\W\d])[\w-]+(?:\.(?=[,;:)]| [^A-Z]))?"
    r"|\d{1,3}(?:\.\d{1,3}){3})(?![\w@/-]|\.\w)"
)


def table(
    label: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    total: int | None = None,
    *,
    limits: Limits = DEFAULTS,
    first: int = FIRST_ROWS,
    rest: str = "analysis.json",
    marked: Collection[int] = (),
) -> Context:
    """A table for the page; columns with # hold numbers, with @ names.

    It holds as many rows as the ``limits`` allow. ``total`` counts the rows that there are, where
    ``rows`` are not all; ``rest`` says where those are that are not here. ``marked`` rows are what
    the others are measured against.
    """
    total = len(rows) if total is None else total
    shown = rows[: limits.page_rows]
    heads = [(column.lstrip("#@"), _KINDS.get(column[0], "text")) for column in columns]
    kinds = [column[0] for column in columns]
    lines = [
        Markup('<tr class="now">{}</tr>' if n in marked else "<tr>{}</tr>").format(
            _cells(row, kinds, limits.page_characters)
        )
        for n, row in enumerate(shown)
    ]
    return {
        "label": label,
        "id": "",
        "heads": heads,
        "body": Markup("\n").join(lines),
        "count": len(shown),
        "first": first,
        "left_out": left_out(len(shown), total),
        "rest": rest,
    }


def left_out(shown: int, total: int | None) -> str:
    """Return which part of a table's rows is on the page; nothing where all of them are."""
    if total is None or total <= shown:
        return ""
    return f"first {number(shown)} of {number(total)}"


def export_of(analysis: Results, name: str) -> str:
    """Return the command that writes a whole table."""
    captures = [c.path for c in analysis.captures]
    capture = "CAPTURE..."
    if len(captures) == 1 and captures[0] != "-":
        capture = shlex.quote(base_name(captures[0]))
    return f"pcapkit export -t {name} --format csv {capture}"


def base_name(path: str) -> str:
    """Return what a capture is called, without its folders: those are nobody else's business."""
    return printable(path.rstrip("/").rpartition("/")[2] or path)


@lru_cache(maxsize=1 << 12)  # a page has many thousands, and most are alike
def _cell(sign: str, value: str) -> str:
    text = str(escape(value))
    title = f' title="{text}"' if len(value) > _LONG else ""
    if sign == "@":
        text = text.replace(".", ".<wbr>")  # where a name may be broken; no entity has a dot
    kind = f' class="{_KINDS[sign]}"' if sign in _KINDS else ""
    return f"<td{kind}{title}>{text}</td>"


def shortened(text: str, most: int) -> str:
    """Return a text of so many characters at most, with an ellipsis where more were."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _cells(row: Sequence[str], kinds: Sequence[str], most: int) -> Markup:
    """Return the cells of a table's row, escaped, each of so many characters at ``most``."""
    cells = [_cell(kind, shortened(value, most)) for kind, value in zip(kinds, row, strict=True)]
    return Markup("".join(cells))  # noqa: S704 - values are escaped in each cell


def named(name: str) -> str:
    """Return a name marked as one, for ``prose``."""
    return f"{_BEGIN}{printable(name)}{_END}"


def prose(text: str) -> Markup:
    """Return a text, escaped, with its names in code type, that may be broken after their dots."""
    out, done = [], 0
    for found in _NAME.finditer(text):
        name = found[2] if found[1] is None else found[1]
        out += [escape(text[done : found.start()]), _code(name)]
        done = found.end()
    return Markup("").join([*out, escape(text[done:])])


def _code(name: str) -> Markup:
    return Markup(f"<code>{str(escape(name)).replace('.', '.<wbr>')}</code>")  # noqa: S704 - escaped
