"""What was seen in files when they were looked at, so that nobody looks again at the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pcapkit.files import atomic_write
from pcapkit.model.audits import Identity
from pcapkit.text import encodable


@dataclass(frozen=True, slots=True)
class Span:
    """When a capture begins and ends, ns since 1970, and what its neighbours of a set share.

    ``usual_gap`` is the mean time between its packets, ns; ``head`` a digest of what stands before
    the first packet.
    """

    head: str
    first: int
    last: int
    usual_gap: int


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the content showed.

    ``format`` is None where it is no capture; ``error`` then says why, ``error_kind`` in one word.
    ``measured`` says that ``span`` was looked for; None: it shows no times.
    """

    format: str | None
    error: str | None = None
    error_kind: str | None = None
    measured: bool = False
    span: Span | None = None


_Known = tuple[Identity, Look]


@dataclass(slots=True)
class Looks:
    """Looks by path, each good for one identity of what is there."""

    known: dict[str, _Known] = field(default_factory=dict)
    changed: bool = False

    @classmethod
    def load(cls, path: Path) -> Looks:
        """Return the looks that were saved; none where the file is missing, torn or of old."""
        import msgspec

        try:
            return cls(msgspec.json.decode(path.read_bytes(), type=dict[str, _Known]))
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return cls()

    def save(self, path: Path) -> None:
        """Save them, whole or not at all, if there are new ones; raises InputError."""
        import msgspec

        if self.changed:
            atomic_write(path, msgspec.json.encode(dict(sorted(self.known.items()))))
            self.changed = False

    def get(self, path: str, identity: Identity | None) -> Look | None:
        """Return the look at what is at ``path`` now, None where there was none."""
        held: Any = self.known.get(encodable(path))
        return held[1] if held is not None and held[0] == identity else None

    def put(self, path: str, identity: Identity | None, look: Look) -> None:
        """Keep a look."""
        if identity is not None:
            self.known[encodable(path)] = (identity, look)
            self.changed = True
