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
    """Return the parts of one capture in order, each once."""
    order = sorted(parts, key=lambda p: (p.facts.begin or 0, p.facts.end or 0))
    chain: list[Part] = []
    at: int | None = None
    for part in order:
        begin, end = part.facts.begin or 0, part.facts.end or 0
        if at is None:
            if part.facts.asked[0] != 0:
                raise _missing(part, 0, part.facts.asked[0])
        elif chain[-1].facts.damage is not None:
            break  # as reading all at once ends there
        elif end <= at and (end > begin or begin == at):
            if end > begin or part.facts.asked[1] is not None or chain[-1].facts.asked[1] is None:
                continue  # once more, or nothing
        elif begin != at:
            if part.facts.asked[0] <= at:
                raise Misplaced(part, at)
            raise _missing(part, at, part.facts.asked[0])
        chain.append(part)
        at = end
    last = chain[-1].facts
    if last.asked[1] is not None and last.damage is None and (last.size or 0) > (last.end or 0):
        raise _missing(chain[-1], last.end or 0, last.size or 0)
    return chain


def _missing(part: Part, first: int, stop: int) -> InputError:
    return InputError(
        part.path,
        f"bytes {first} to {stop} of {part.facts.path} are in none of these tallies",
        hint=f"make one with --range {first}:{stop}",
    )
