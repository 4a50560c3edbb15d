"""The sections of a report, in the order in which a reader wants them.

Each row is an id, a title, a function that prepares what its template shows (None: the section is
left out), and the template. Names stay plain text here; the templates escape them.
"""

from __future__ import annotations

from collections.abc import Callable

from pcapkit.model.results import Results
from pcapkit.report.html.sections.beside import beside
from pcapkit.report.html.sections.faults import faults, minor
from pcapkit.report.html.sections.lookups import chains, how_long, when
from pcapkit.report.html.sections.plan import plan
from pcapkit.report.html.sections.seen import how_computed, unseen
from pcapkit.report.html.sections.settings import settings
from pcapkit.report.html.sections.tables import Context
from pcapkit.report.html.sections.where import where

SECTIONS: tuple[tuple[str, str, Callable[[Results], Context | None], str], ...] = (
    ("faults", "Faults that matter", faults, "faults.html"),
    ("plan", "The plan", plan, "plan.html"),
    ("what-to-do", "Beside the plan", beside, "beside.html"),
    ("where", "Where the waste is", where, "where.html"),
    ("settings", "Queries under each setting", settings, "settings.html"),
    ("chains", "How a lookup goes wrong", chains, "chains.html"),
    ("when", "When", when, "picture.html"),
    ("how-long", "How long", how_long, "picture.html"),
    ("minor", "Minor faults", minor, "minor.html"),
    ("unseen", "What could not be seen", unseen, "unseen.html"),
    ("how-computed", "How this was computed", how_computed, "how_computed.html"),
)
