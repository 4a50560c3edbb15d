"""Charts drawn by a second process: it loads matplotlib while this one still reads the capture.

It is forked, so what both need is imported once. What goes through the pipes between the two is
theirs alone. Where the second process fails, its caller draws by itself.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import fields
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, cast

from pcapkit.concurrency import die_with_parent, import_paths, leave_with_caller
from pcapkit.model.results import Results

if TYPE_CHECKING:
    from pcapkit.report.html.drawing import Drawn

#: What both processes need beside this module's own imports: loaded while they are still one.
_SHARED = ("hashlib", "logging", "numpy", "numpy.ma", "pcapkit.report.text.plans")
#: Names that charts may show.
_NAMES = 100
#: The charts that take longest are drawn first, so that both processes end together.
_LONGEST_FIRST = ("clients", "chain", "worst-names", "ndots-settings", "plan")


class Painter:
    """A process that draws one analysis; start it early, it takes a while to get ready.

    It must be started before this process has other threads.
    """

    def __init__(self) -> None:
        #: of the process; None where processes cannot fork
        self.pid: int | None = None
        self._handing: threading.Thread | None = None
        if not hasattr(os, "fork"):
            return
        for module in _SHARED:
            import_module(module)
        work, to_painter = os.pipe()
        from_painter, drawn = os.pipe()
        caller = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(to_painter)
            os.close(from_painter)
            _serve(work, drawn, caller)
        os.close(work)
        os.close(drawn)
        self._to, self._from = os.fdopen(to_painter, "wb"), os.fdopen(from_painter, "rb")

    def begin(self, analysis: Results, *, png: bool) -> None:
        """Hand an analysis over; its charts are drawn while the caller goes on.

        Charts show no advice, and neither settings nor plans of single clients.
        """
        if self.pid is None:
            return
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
        with suppress(OSError):  # it may have gone; result() says so
            self._to.write(work)
            self._to.flush()

    def result(self) -> tuple[Drawn, ...] | None:
        """Wait for the charts; None where the process failed."""
        if self.pid is None:
            return None
        try:
            return cast("tuple[Drawn, ...]", pickle.load(self._from))
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
        if self.pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)  # which ends what still writes to it
        if self._handing is not None:
            self._handing.join()
        for pipe in (self._to, self._from):
            with suppress(OSError):  # what was never read
                pipe.close()
        with suppress(ChildProcessError):  # whoever started this one may have it wait for none
            os.waitpid(self.pid, 0)


def _serve(work: int, drawn: int, caller: int) -> NoReturn:
    """Draw what comes through the pipe ``work``, and leave: nothing else of the caller goes on."""
    try:
        die_with_parent(caller)
        os.setsid()  # Ctrl-C is for the caller to understand
        os.umask(0o077)  # all that is written here is matplotlib's own
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in {0, 1, 2} - {work, drawn}:  # which they are where a stream was closed
            os.dup2(nothing, stream)
        _draw(work, drawn)
    finally:
        os._exit(0)


def _draw(work: int, drawn: int) -> None:
    """Draw on two cores; write the charts to the pipe ``drawn``."""
    gc.disable()  # imports and charts leave cycles, but this process ends with the last of them
    sys.path[:] = import_paths()
    os.chdir("/")  # matplotlib reads settings from the working directory: from strangers' captures
    from pcapkit.report.html.charts import CHARTS
    from pcapkit.report.html.pictures import draw

    with os.fdopen(work, "rb", closefd=False) as pipe:
        analysis, png = cast("tuple[Results, bool]", pickle.load(pipe))
    names = [name for name, _ in CHARTS]
    waiting, queue = os.pipe()  # a byte for each chart: whoever is free takes the next
    rank = {name: place for place, name in enumerate(_LONGEST_FIRST)}
    os.write(queue, bytes(sorted(range(len(names)), key=lambda n: rank.get(names[n], len(rank)))))
    os.close(queue)

    def share() -> list[Drawn]:
        out: list[Drawn] = []
        while taken := os.read(waiting, 1):
            out += draw(analysis, png=png, only=[names[taken[0]]])
        return out

    ours, theirs = os.pipe()
    first = os.getpid()
    is_other = os.fork() == 0
    if is_other:
        die_with_parent(first)
    leave_with_caller(work)
    if is_other:
        with os.fdopen(theirs, "wb") as out:
            pickle.dump(share(), out)
        return
    os.close(theirs)
    every = share()
    with os.fdopen(ours, "rb") as rest:
        every += pickle.load(rest)
    every.sort(key=lambda d: names.index(d.name))
    with os.fdopen(drawn, "wb") as out:
        pickle.dump(tuple(every), out)
