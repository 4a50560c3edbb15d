"""Charts drawn by a second process: it loads matplotlib while this one still reads the capture.

What goes through the pipes between the two is theirs alone. Where the second process fails, its
caller draws by itself.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import fields
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, cast

from pcapkit.concurrency import python_command

if TYPE_CHECKING:
    from pcapkit.model.results import Results
    from pcapkit.report.html.drawing import Drawn

#: Names that charts may show.
_NAMES = 100
#: Charts that are drawn faster than others: they come last, so that both processes end together.
_QUICK = ("waste-by-class", "timeline", "latency")
#: How often a process that draws looks whether its caller lives.
_LOOK_S = 0.2


class Painter:
    """A process that draws one analysis; start it early, it takes a while to get ready."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            python_command("from pcapkit.report.html.painter import serve; serve()"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for this process to understand
        )
        self._handing: threading.Thread | None = None

    def begin(self, analysis: Results, *, png: bool) -> None:
        """Hand an analysis over; its charts are drawn while the caller goes on.

        Charts show no advice, and neither settings nor plans of single clients.
        """
        from pcapkit.model.results import Results  # after the process has been started

        # There may be a million names that no chart shows, too.
        charted = {f.name: getattr(analysis, f.name) for f in fields(Results)}
        charted["recommendations"] = ()
        charted["plans"] = tuple(p for p in analysis.plans if p.subject is None)
        charted["name_rows"] = analysis.name_rows[:_NAMES]
        charted["what_if_rows"] = tuple(w for w in analysis.what_if_rows if w.client_addr is None)
        work = pickle.dumps((Results(**charted), png))
        self._handing = threading.Thread(target=self._hand_over, args=(work,), daemon=True)
        self._handing.start()

    def _hand_over(self, work: bytes) -> None:
        """Write to the process, which takes no more than a pipe holds before it is ready.

        The pipe stays open: as long as it is, the process knows that this one lives.
        """
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError):  # it may have gone; result() says so
            pipe.write(work)
            pipe.flush()

    def result(self) -> tuple[Drawn, ...] | None:
        """Wait for the charts; None where the process failed."""
        assert self._process.stdout is not None
        try:
            return cast("tuple[Drawn, ...]", pickle.load(self._process.stdout))
        except (OSError, EOFError, pickle.UnpicklingError):
            return None

    def __enter__(self) -> Painter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()  # which ends what still writes to it
        if self._handing is not None:
            self._handing.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was never read
                    pipe.close()
        self._process.wait()


def _leave_with_parent() -> None:
    """End this process soon after nobody holds the other end of its standard input.

    A timer looks, not a thread that waits in a read: one that draws a large chart was seen to keep
    such a thread from running for as long as it drew (CPython 3.11).
    """
    if not hasattr(signal, "setitimer"):
        return

    def look(_signal: int, _frame: FrameType | None) -> None:
        if select.select([0], [], [], 0)[0]:  # nothing follows the work: this is the end
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)


def serve() -> None:
    """Draw what comes through standard input, on two cores where processes can fork, and leave."""
    gc.disable()  # imports and charts leave cycles, but this process ends with the last of them
    from pcapkit.report.html.charts import CHARTS, draw

    analysis, png = cast("tuple[Results, bool]", pickle.load(sys.stdin.buffer))
    names = [name for name, _ in CHARTS]
    waiting, queue = os.pipe()  # a byte for each chart: whoever is free takes the next
    os.write(queue, bytes(sorted(range(len(names)), key=lambda n: names[n] in _QUICK)))
    os.close(queue)

    def drawn() -> list[Drawn]:
        out: list[Drawn] = []
        while taken := os.read(waiting, 1):
            out += draw(analysis, png=png, only=[names[taken[0]]])
        return out

    ours, theirs = os.pipe()
    if hasattr(os, "fork") and os.fork() == 0:
        _leave_with_parent()
        with os.fdopen(theirs, "wb") as out:
            pickle.dump(drawn(), out)
        os._exit(0)
    os.close(theirs)
    _leave_with_parent()
    every = drawn()
    with os.fdopen(ours, "rb") as rest:
        every += pickle.load(rest) if hasattr(os, "fork") else ()
    pickle.dump(tuple(sorted(every, key=lambda d: names.index(d.name))), sys.stdout.buffer)
    sys.stdout.buffer.flush()
