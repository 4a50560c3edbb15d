"""One bar over all captures of an audit."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pcapkit.cli.output import say
from pcapkit.report.text.formatting import printable

if TYPE_CHECKING:
    from rich.progress import Progress

_REDRAW_S = 0.1
#: What a capture costs beside its bytes, in bytes: time left is reckoned by both.
_CAPTURE_BYTES = 1 << 18


class AuditProgress:
    """Says how far an audit is; it draws where there is a bar, which is on a terminal.

    It draws when it is called: an audit starts processes, and may have no thread that draws.
    """

    def __init__(self, bar: Progress | None, *, verbose: bool) -> None:
        self._bar, self._verbose = bar, verbose
        self._began = self._drawn = time.monotonic()
        self._first: int | None = None  # captures that were done before this run
        self._task = None if bar is None else bar.add_task("", total=None, done="", rate="")

    def say(self, text: str) -> None:
        """Print a line, above the bar."""
        if self._bar is None:
            say(text)
        else:
            self._bar.console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def each(self, done: int, total: int, size: int) -> None:
        """Note that captures are done: ``size`` are the bytes of the last one, or of all to do."""
        if self._first is None:
            self._first, self._began = done, time.monotonic()
            self._update(total=size + (total - done) * _CAPTURE_BYTES)
        else:
            self._update(advance=size + _CAPTURE_BYTES)
        if self._verbose:
            self.say(f"{done} of {total} captures")
        rate = (done - self._first) / max(time.monotonic() - self._began, 1e-9)
        self._update(done=f"{done:,} of {total:,} captures", rate=f"{rate:,.1f} a second")
        self.look()

    def _update(self, **values: Any) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, **values)

    def look(self) -> None:
        """Draw, unless that was done a moment ago."""
        now = time.monotonic()
        if self._bar is not None and now - self._drawn > _REDRAW_S:
            self._drawn = now
            self._bar.refresh()


@contextmanager
def audit_progress(*, bar: bool, verbose: bool) -> Iterator[AuditProgress]:
    """Give what says how far an audit is, with a ``bar`` where one can be drawn."""
    if not bar or not sys.stderr.isatty():
        yield AuditProgress(None, verbose=verbose)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        TextColumn("{task.fields[done]}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    drawn = Progress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False)
    with drawn:
        yield AuditProgress(drawn, verbose=verbose)
