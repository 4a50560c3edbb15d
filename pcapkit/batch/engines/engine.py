"""What an engine is given and what it gives: jobs, and one outcome of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Job:
    """One call of a module's function with one argument, both of which travel between processes.

    ``work`` returns its failures as values; a job may be run twice, by two workers even, so that
    all it writes appears whole, and is the same each time. ``name`` is what messages call it,
    ``weight`` the bytes that it reads. ``needs`` are files and folders that are there before any
    work begins: where one is not, another machine does not see what this one sees.
    """

    name: str
    work: Callable[[Any], Any]
    argument: Any
    weight: int
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a job: what ``work`` returned, or why nothing did (its process died, say)."""

    job: Job
    result: Any
    problem: str | None = None


#: Called with each outcome: returns the jobs that it makes possible.
More = Callable[[Outcome], Iterable[Job]]


class Engine(Protocol):
    """Runs jobs, in any order."""

    def outcomes(self, jobs: Iterable[Job], more: More) -> Iterator[Outcome]:
        """Yield one outcome for each job, and for each of those that ``more`` adds.

        A job that kills its process, again when it runs alone, is an outcome with a problem; the
        jobs that waited beside it run elsewhere. Raises UsageError where no worker can be had.
        """
        ...
