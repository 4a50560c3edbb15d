"""One self-contained page: it opens offline, asks no network, and escapes every name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from jinja2 import (
    Environment,
    FileSystemBytecodeCache,
    PackageLoader,
    StrictUndefined,
    compiler,
    runtime,
)
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from pcapkit.kernels.cache import folder_for, shipped_folder
from pcapkit.model.results import Results
from pcapkit.report.html.sections import SECTIONS
from pcapkit.report.text.formatting import printable
from pcapkit.report.text.verdict import verdict
from pcapkit.report.text.wording import evidence, figures

if TYPE_CHECKING:
    from pcapkit.report.html.drawing import Drawn


#: Longer values are also shown to whom points at them, for their columns may be narrow.
_LONG = 48
#: What the first characters of columns say of their cells.
_CLASSES = {"#": ' class="number"', "@": ' class="name"'}


class _Kept(FileSystemBytecodeCache):
    """Compiled templates, kept where kernels are: compiling them takes longer than a page.

    They are named by what they come from, not by where that is; Jinja itself checks their source.
    """

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return super().get_cache_key(f"{name} {_jinja()}")

    def load_bytecode(self, bucket: Bucket) -> None:
        for find in (shipped_folder, folder_for):
            if bucket.code is None and (folder := find(__name__)):
                self.directory = folder
                with suppress(EOFError, UnpicklingError):  # where a file has been cut
                    super().load_bytecode(bucket)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if folder := folder_for(__name__):
            self.directory = folder
            with suppress(OSError):  # then the next run compiles them, too
                super().dump_bytecode(bucket)


@cache
def _jinja() -> str:
    """Return what compiled templates depend on: the compiler, and what it makes them call.

    To look up a version among all packages that are installed takes longer than to read these.
    """
    parts = (Path(str(module.__file__)).read_bytes() for module in (compiler, runtime))
    return sha256(b"".join(parts)).hexdigest()


@cache
def environment() -> Environment:
    """Return the templates, with escaping always on and undefined names an error."""
    made = Environment(
        loader=PackageLoader("pcapkit", "report/html/templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_Kept(""),
    )
    made.filters["cells"] = _cells
    made.filters["breakable"] = _breakable
    return made


@lru_cache(maxsize=1 << 12, typed=True)  # a page has many thousands, and most are alike
def _cell(sign: str, value: str) -> str:
    text = str(escape(value))
    title = f' title="{text}"' if len(value) > _LONG else ""
    if sign == "@":
        text = text.replace(".", ".<wbr>")  # where a name may be broken; no entity has a dot
    return f"<td{_CLASSES.get(sign, '')}{title}>{text}</td>"


def _breakable(text: str) -> Markup:
    """Return text, escaped, that may be broken after the dots of its names."""
    return Markup(str(escape(text)).replace(".", ".<wbr>"))  # noqa: S704 - escaped


def _cells(row: Sequence[str], columns: Sequence[str]) -> Markup:
    """Return the cells of a table's row, escaped."""
    cells = [_cell(column[0], value) for column, value in zip(columns, row, strict=True)]
    return Markup("".join(cells))  # noqa: S704 - values are escaped in each cell


class Page:
    """The page of a report: all but its pictures is rendered when it is made."""

    def __init__(self, analysis: Results) -> None:
        self._template = environment().get_template("report.html")
        self._sections: list[dict[str, Any]] = []
        for identity, title, prepare, template in SECTIONS:
            context = prepare(analysis)
            if context is not None:
                text = environment().get_template(template).render(**context)
                html = Markup(text)  # noqa: S704 - a template's own
                self._sections.append(
                    {"id": identity, "title": title, "html": html, "charts": context.get("charts")}
                )
        paths = [c.path for c in analysis.captures]
        subject = paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
        first, *then = (text.replace(" %", "\u00a0%") for text in verdict(analysis))
        self._frame = {
            "subject": printable(subject),
            "headline": first,
            "then": " ".join(then),
            "figures": figures(analysis),
            "evidence": evidence(analysis),
            "version": analysis.pcapkit_version,
        }

    def render(self, drawn: Sequence[Drawn]) -> str:
        """Return the page with its charts."""
        # charts.py's own markup; matplotlib escapes the text inside it
        pictures = {d.name: {"svg": Markup(d.svg), "alt": d.alt} for d in drawn}  # noqa: S704
        return self._template.render(sections=self._sections, pictures=pictures, **self._frame)


def render_page(analysis: Results, drawn: Sequence[Drawn] | None = None) -> str:
    """Return the report as HTML; ``drawn`` are its charts, drawn here where not given."""
    if drawn is None:
        from pcapkit.report.html.charts import draw

        drawn = draw(analysis, png=False)
    return Page(analysis).render(drawn)
