"""One self-contained page: it opens offline, asks no network, and escapes every name."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache
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
from markupsafe import Markup

from pcapkit.kernels.cache import folder_for, may_be_read, shipped_folder
from pcapkit.model.results import Results
from pcapkit.report.html.policy import Assets, without_inline_styles
from pcapkit.report.html.sections.order import SECTIONS
from pcapkit.report.html.sections.tables import base_name, prose
from pcapkit.report.text.formatting import number
from pcapkit.report.text.verdict import verdict
from pcapkit.report.text.wording import evidence, figures

if TYPE_CHECKING:
    from pcapkit.report.html.drawing import Drawn


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
                if not may_be_read(self._get_cache_filename(bucket)):
                    continue
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
    made.filters["prose"] = prose
    return made


def static(name: str) -> str:
    """Return a stylesheet or a script of the templates."""
    return environment().get_template(name).render() + "\n"


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
        more = f" and {number(len(paths) - 1)} more" if len(paths) > 1 else ""
        first, *then = (text.replace(" %", "\u00a0%") for text in verdict(analysis))
        self._frame = {
            "subject": base_name(paths[0]),
            "more": more,
            "headline": first,
            "then": " ".join(then),
            "figures": figures(analysis),
            "evidence": evidence(analysis),
            "version": analysis.pcapkit_version,
        }

    def render(self, drawn: Sequence[Drawn]) -> str:
        """Return the page with its charts."""
        # charts.py's own markup; matplotlib escapes the text inside it
        svgs, rules = without_inline_styles([d.svg for d in drawn])
        pictures = {
            d.name: {"svg": Markup(svg), "alt": d.alt}  # noqa: S704
            for d, svg in zip(drawn, svgs, strict=True)
        }
        assets = Assets(static("style.css") + rules, static("tables.js") + static("script.js"))
        return self._template.render(
            sections=self._sections, pictures=pictures, assets=assets, **self._frame
        )


def render_page(analysis: Results, drawn: Sequence[Drawn] | None = None) -> str:
    """Return the report as HTML; ``drawn`` are its charts, drawn here where not given."""
    if drawn is None:
        from pcapkit.report.html.pictures import draw

        drawn = draw(analysis, png=False)
    return Page(analysis).render(drawn)
