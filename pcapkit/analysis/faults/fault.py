"""What one fault is: a row of the tables beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Set
from dataclasses import dataclass, field

from pcapkit.analysis.faults.notes import Note, Notes
from pcapkit.analysis.traffic.part import PartTraffic
from pcapkit.model.vocabulary import Certainty, Severity


def _was_seen(subject: str, note: Note) -> bool:
    return True


def _is_shown(note: Note) -> Certainty:
    return Certainty.SHOWN


def _nothing(note: Note) -> tuple[str, ...]:
    return ()


def _counts(note: Note) -> dict[str, object]:
    return {key: n for key, n in note.counts.items() if n}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: its manual and its detector.

    ``rivals`` is the manual of what else may look like it, and what excludes that. ``excludes`` are
    the same with the numbers of one capture: texts with ``{count}`` of the notes.
    """

    code: str
    severity: Severity
    title: str
    meaning: str
    signature: str
    action: str
    note: Callable[[PartTraffic], Notes]
    is_guilty: Callable[[str, Note], bool] = _was_seen
    show: Callable[[Note], dict[str, object]] = _counts
    #: what the notes are about, as a key of the evidence; "" where they have no subject
    subjects: str = ""
    rivals: str = field(kw_only=True)
    excludes: tuple[str, ...] = ()
    #: what the texts of ``excludes`` cannot say
    excludes_more: Callable[[Note], tuple[str, ...]] = _nothing
    certainty: Callable[[Note], Certainty] = _is_shown
    #: what only clients with glibc can do: other resolvers ignore it
    for_glibc: str = ""
    #: packets without messages that show it, by their skip reason
    skip_reason: str = ""

    def excluded(self, note: Note) -> tuple[str, ...]:
        """Return the other explanations that the notes exclude, with their numbers."""
        counts = defaultdict(int, note.counts)
        return (*(text.format_map(counts) for text in self.excludes), *self.excludes_more(note))

    def action_for(self, models: Set[str]) -> str:
        """Return what to do where these resolvers have it."""
        return f"{self.action} {self.for_glibc}" if {"glibc"} & models else self.action

    @property
    def whole_action(self) -> str:
        """What to do, whatever the resolver."""
        return f"{self.action} With glibc: {self.for_glibc}" if self.for_glibc else self.action
