"""One entry of the manual, as it stands beside the rule that gives its code."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING_TO_DO = "Nothing to do."


@dataclass(frozen=True, slots=True)
class Entry:
    """One code: what it means, why it happens or how it is recognised, what to do."""

    code: str
    kind: str
    meaning: str
    why: str
    action: str
    signature: str = ""
    excludes: str = ""  #: what else may look like it, and what tells it apart
