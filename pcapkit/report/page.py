"""One self-contained page: it opens offline, asks no network, and escapes every name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from pcapkit.model import Analysis
from pcapkit.report.sections import SECTIONS
from pcapkit.report.text import printable
from pcapkit.report.verdict import action_text, evidence, figures, headline

if TYPE_CHECKING:
    from pcapkit.report.painter import Drawn


@cache
def environment() -> Environment:
    """Return the templates, with escaping always on and undefined names an error."""
    made = Environment(
        loader=PackageLoader("pcapkit", "report/templates"), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["breakable"] = _breakable
    return made


def _breakable(name: str) -> Markup:
    """Escape a name that may be broken over lines after each of its dots."""
    return Markup(".<wbr>").join(name.split("."))  # escapes what it joins


def render_page(analysis: Analysis, drawn: Sequence[Drawn] | None = None) -> str:
    """Return the report as HTML; ``drawn`` are its charts, drawn here where not given."""
    if drawn is None:
        from pcapkit.report.charts import draw

        drawn = draw(analysis, png=False)
    # charts.py's own markup; matplotlib escapes the text inside it
    pictures = {d.name: {"svg": Markup(d.svg), "alt": d.alt} for d in drawn}  # noqa: S704
    sections = []
    for identity, title, prepare, template in SECTIONS:
        context = prepare(analysis)
        if context is not None:
            shown = [pictures[n] for n in context.get("charts", ()) if n in pictures]
            sections.append(_section(identity, title, template, dict(context), shown))
    paths = [c.path for c in analysis.captures]
    subject = paths[0] + (f" and {len(paths) - 1} more" if len(paths) > 1 else "")
    page = environment().get_template("report.html")
    return page.render(
        subject=printable(subject), headline=headline(analysis), figures=figures(analysis),
        evidence=evidence(analysis), sections=sections, first=_first(analysis),
        version=analysis.pcapkit_version,
    )  # fmt: skip


def _section(
    identity: str, title: str, template: str, context: dict[str, Any], pictures: list[Any]
) -> dict[str, Any]:
    context["pictures"] = pictures
    text = environment().get_template(template).render(**context)
    return {"id": identity, "title": title, "html": Markup(text)}  # noqa: S704 - a template's own


def _first(analysis: Analysis) -> dict[str, Any] | None:
    """The first action and its patch, for the top of the page."""
    if not analysis.recommendations:
        return None
    best = analysis.recommendations[0]
    return {
        "action": action_text(analysis, best),
        "safety": best.safety.value,
        "patch": None if best.patch is None else best.patch.rstrip("\n"),
    }
