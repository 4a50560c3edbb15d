"""One run of a history by its text: ``history:FOLDER@2026-11-01``, ``history:FOLDER@NAME``."""

from __future__ import annotations

import re

from pcapkit.batch.history.places import without_secrets
from pcapkit.batch.history.runs import Run, no_history, read_history
from pcapkit.batch.history.timeline import own_rows
from pcapkit.errors import InputError
from pcapkit.model.audits import AuditRow

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
#: What may stand behind the last ``@``: a URL may have one for its user.
_WHICH = re.compile(r"(.*)@([\w-]+)", re.DOTALL)


def find_run(text: str) -> tuple[tuple[AuditRow, ...], tuple[str, ...]]:
    """Return what a run found that no earlier one had, or all of it where that is nothing;
    and warnings of files that are no runs.

    Behind ``@`` is a day, of which it is the last run, or the beginning of a run's name; without
    it is the newest run. Raises InputError where there is none, or more than one of that name.
    """
    where = text.removeprefix("history:")
    which = None
    if found := _WHICH.fullmatch(where):
        where, which = found[1], found[2]
    history = read_history(where, days=None)
    if not history.runs:
        raise no_history(where, history.warnings)
    if which is None:
        return own_rows(history, history.runs[-1]), history.warnings
    if _DAY.fullmatch(which):
        matching = [run for run in history.runs if run.day == which][-1:]
    else:
        matching = [run for run in history.runs if run.name.startswith(which)]
    if len(matching) != 1:
        raise InputError(without_secrets(text), _problem(history.runs, matching, which))
    return own_rows(history, matching[0]), history.warnings


def _problem(runs: tuple[Run, ...], matching: list[Run], which: str) -> str:
    if matching:
        return f"{len(matching)} runs begin with {which!r}; write more of the name"
    days = sorted({run.day for run in runs})
    span = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return f"no run {which!r}: it is a day or a run's name, and runs are of {span}"
