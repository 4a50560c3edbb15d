"""Charts drawn by a second process: it loads matplotlib while this one still reads the capture.

What goes through the pipes between the two is theirs alone. Where the second process fails, its
caller draws by itself.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, cast

from pcapkit.model import Analysis

#: Names that charts may show.
_NAMES = 100


@dataclass(frozen=True, slots=True)
class Drawn:
    """One chart in both forms: ``svg`` takes the page's text colour, ``png`` stands on white."""

    name: str
    alt: str
    svg: str
    png: bytes | None


def _no_table(name: str) -> Any:
    raise NotImplementedError(f"the painter has no rows, so no table {name!r}")


class Painter:
    """A process that draws one analysis; start it early, it takes a while to get ready."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from pcapkit.report.painter import serve; serve()"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process to understand
        )  # fmt: skip

    def begin(self, analysis: Analysis, *, png: bool) -> None:
        """Hand an analysis over; its charts are drawn while the caller goes on."""
        assert self._process.stdin is not None
        try:
            # There may be a million names, and thousands of settings and advice for one client,
            # that no chart shows.
            alone = replace(
                analysis, table=_no_table, table_parts=_no_table, recommendations=(),
                name_rows=analysis.name_rows[:_NAMES],
                what_if_rows=tuple(w for w in analysis.what_if_rows if w.client_addr is None),
            )  # fmt: skip
            pickle.dump((alone, png), self._process.stdin)
            self._process.stdin.close()
        except OSError:  # it has gone; result() says so
            pass

    def result(self) -> tuple[Drawn, ...] | None:
        """Wait for the charts; None where the process failed."""
        assert self._process.stdout is not None
        try:
            return cast(tuple[Drawn, ...], pickle.load(self._process.stdout))
        except (OSError, EOFError, pickle.UnpicklingError):
            return None

    def __enter__(self) -> Painter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def serve() -> None:
    """Draw what comes through standard input, on two cores where processes can fork, and leave."""
    from pcapkit.report.charts import CHARTS, draw

    analysis, png = cast(Any, pickle.load(sys.stdin.buffer))
    names = [name for name, _ in CHARTS]
    halves = (names[::2], names[1::2]) if hasattr(os, "fork") else (names, [])
    ours, theirs = os.pipe()
    if halves[1] and os.fork() == 0:
        with os.fdopen(theirs, "wb") as out:
            pickle.dump(draw(analysis, png=png, only=halves[1]), out)
        os._exit(0)
    os.close(theirs)
    drawn = draw(analysis, png=png, only=halves[0])
    with os.fdopen(ours, "rb") as rest:
        drawn += pickle.load(rest) if halves[1] else ()
    pickle.dump(tuple(sorted(drawn, key=lambda d: names.index(d.name))), sys.stdout.buffer)
    sys.stdout.buffer.flush()
