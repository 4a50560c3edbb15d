"""The frozen records of a comparison; its JSON is schema ``pcapkit.comparison/1``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from pcapkit.model.plans import PlanKind
from pcapkit.model.settings import Setting

SCHEMA = "pcapkit.comparison/1"


def is_saved(path: str) -> bool:
    """Is this a file of JSON that pcapkit wrote, and so no capture?"""
    try:
        if path == "-" or not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return b'"pcapkit.' in file.read(200)
    except OSError:
        return False


def is_run(path: str) -> bool:
    """Is this a run of a history, and so no file?"""
    return path.startswith("history:") and not os.path.exists(path)


@dataclass(frozen=True, slots=True)
class Rate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity on both sides; ``change`` is after / before - 1.

    ``verdict`` is ``less``, ``more``, ``no_change_shown`` or ``too_little_data``.
    """

    what: str
    before: Rate | None
    after: Rate | None
    change: Rate | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Subject:
    """All clients (``subject`` None), or one that is on both sides.

    ``matched_by`` is ``all``, ``workload``, ``pod`` or ``address``.
    """

    subject: str | None
    matched_by: str
    before_lookups: int
    after_lookups: int
    measures: tuple[Measure, ...]

    def measure(self, what: str) -> Measure:
        """Return one quantity."""
        return next(m for m in self.measures if m.what == what)


@dataclass(frozen=True, slots=True)
class Promise:
    """What the first analysis said a setting would change, against what changed.

    ``promised`` and ``measured`` are changes of queries (of wasted queries, for a name) per lookup;
    ``verdict`` is ``kept``, ``not_kept``, ``not_applied`` or ``too_little_data``.
    """

    subject: str
    setting: Setting
    recommended: bool
    promised: float | None
    measured: Rate | None
    verdict: str


@dataclass(frozen=True, slots=True)
class PlanPromise:
    """What a plan of the first analysis promised, against what came; ``subject`` None: all clients.

    Of the plan's ``steps`` the first ``done`` came true: their ndots is in force, their names are
    searched no more. ``promised`` is what these (all, where none came true) change in the queries
    of a lookup, ``measured`` what changed. ``verdict`` as of a ``Promise``.
    """

    subject: str | None
    kind: PlanKind
    steps: int
    done: int
    promised: float
    measured: Rate | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result; ``subjects`` begins with all clients together."""

    before: str
    after: str
    after_share: float
    subjects: tuple[Subject, ...]
    promises: tuple[Promise, ...]
    plans: tuple[PlanPromise, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> str:
        """Return the comparison as JSON text, schema ``pcapkit.comparison/1``."""
        values = {"schema": SCHEMA, **asdict(self)}
        for shown, promise in zip(values["promises"], self.promises, strict=True):
            shown["setting"] = str(promise.setting)
        return json.dumps(values, indent=2) + "\n"
