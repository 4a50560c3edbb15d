"""Which tallies are parts of one capture, in order, and what is missing between them."""

from __future__ import annotations

from collections.abc import Sequence

from pcapkit.errors import InputError, UsageError
from pcapkit.ingest.tallies.file import Part


class Misplaced(InputError):
    """A part of a capture begins where no record does: it is to be made again from there.

    ``first`` is where its first record stands, ``stop`` where the part ends (None: at the end).
    """

    def __init__(self, part: Part, first: int) -> None:
        self.first, self.stop = first, part.facts.asked[1]
        stop = "" if self.stop is None else self.stop
        super().__init__(
            part.path,
            f"its part of {part.facts.path} begins at byte {part.facts.begin}, in the middle of a "
            "record",
            hint=f"make it again with --range {first}:{stop} --at-record",
        )


def captures_of(parts: Sequence[Part]) -> list[list[Part]]:
    """Return the parts of each capture, in their order; captures in the order of their packets.

    Those without a clock come first, in the order of their paths. A part that is there twice
    counts once. Raises Misplaced, and InputError where a part of a capture is missing.
    """
    ports = {part.facts.ports for part in parts}
    if len(ports) > 1:
        raise UsageError(
            "these tallies were made with different --port options: "
            + " and ".join(", ".join(map(str, p)) for p in sorted(ports))
        )
    captures: dict[tuple[str, str], list[Part]] = {}
    for part in parts:
        facts = part.facts
        content = facts.content if facts.whole else ""  # parts of one have each its own
        captures.setdefault((facts.capture, content), []).append(part)
    whole = {head for head, content in captures if content}
    chains = [
        [found[0]] if content else _chain(found)
        for (head, content), found in captures.items()
        if content or head not in whole
    ]

    def place(chain: list[Part]) -> tuple[int, str, str]:
        first = chain[0].facts
        return first.begins or 0, first.path, first.content

    return sorted(chains, key=place)


def _chain(parts: Sequence[Part]) -> list[Part]:
    """Return parts of one capture that follow one another from its beginning to its end.

    Others, such as a part that was made again and its first making, are left out: of those that
    follow, the longest is taken that leads to the end.
    """
    chain: list[Part] = []
    left = sorted(parts, key=lambda p: (p.facts.end or 0, p.facts.asked[1] is None))
    problem: InputError | None = None
    while not chain or chain[-1].facts.damage is None:
        at = (chain[-1].facts.end or 0) if chain else 0
        follow = [p for p in left if p not in chain and _follows(p, at, first=not chain)]
        if follow:
            chain.append(follow[-1])
        elif chain and _is_last(chain[-1]):
            break
        else:
            problem = problem or _problem(parts, at)
            if not chain:
                raise problem
            left.remove(chain.pop())  # it leads nowhere
    return chain


def _follows(part: Part, at: int, *, first: bool) -> bool:
    facts = part.facts
    if first:
        return facts.asked[0] == 0
    more = (facts.end or 0) > at or facts.asked[1] is None or facts.damage is not None
    return facts.begin == at and more


def _is_last(part: Part) -> bool:
    """Does the capture end with this part, or reading it end there, as damage ends it?"""
    facts = part.facts
    reached = facts.size is not None and (facts.end or 0) >= facts.size
    return facts.asked[1] is None or facts.damage is not None or reached


def _problem(parts: Sequence[Part], at: int) -> InputError:
    """Return what to raise where no part follows what is known up to ``at``."""
    for part in parts:
        first, stop = part.facts.asked
        if 0 < first <= at and (stop is None or at < stop) and part.facts.begin != at:
            return Misplaced(part, at)
    behind = [p.facts.asked[0] for p in parts if p.facts.asked[0] > at]
    path, stop = parts[0].facts.path, min(behind, default=None)
    to = "the end" if stop is None else stop
    return InputError(
        parts[0].path,
        f"bytes {at} to {to} of {path} are in none of these tallies",
        hint=f"make one with --range {at}:{'' if stop is None else stop}",
    )
