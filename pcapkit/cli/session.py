"""What surrounds a command while it runs: progress, the live summary, Ctrl-C, a second process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pcapkit.pipeline.analysis import Analysis
    from pcapkit.pipeline.hooks import Progress
    from pcapkit.report.html.painter import Painter


_REDRAW_S = 1.0


@contextmanager
def first_run(*, packets: bool = True) -> Iterator[Callable[[], None]]:
    """On the first run, say what takes so long, and use the second core for it.

    Gives a function to call before anything is read into lookups. Without ``packets`` no decoders
    are needed.
    """
    from pcapkit.pipeline import first_run as warm

    if not warm.is_first_run(packets=packets):
        yield lambda: None
        return
    print("first run: compiling the decoders, once (about ten seconds)", file=sys.stderr)
    with warm.first_run(packets=packets) as wait:
        yield wait


@contextmanager
def progress_bars(*, bars: bool = True) -> Iterator[Progress | None]:
    """Show progress on standard error where that is a terminal."""
    if not bars or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[packets]:,} packets"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(path: str, done: int, packets: int) -> None:
            if path not in tasks:
                from pcapkit.report.text.formatting import shorten

                for done_with in list(tasks):  # a set may have thousands of files
                    bar.remove_task(tasks.pop(done_with))
                size = os.path.getsize(path) if os.path.isfile(path) else None
                tasks[path] = bar.add_task(
                    shorten(os.path.basename(path), 30).replace("[", r"\["), total=size, packets=0
                )
            bar.update(tasks[path], completed=done, packets=packets)

        yield show


@contextmanager
def interruptible(captures: tuple[str, ...]) -> Iterator[threading.Event | None]:
    """Let the first Ctrl-C end a capture that comes through a pipe, and the second one end all."""
    piped = any(c == "-" or (os.path.exists(c) and not os.path.isfile(c)) for c in captures)
    if not piped:
        yield None
        return
    with first_interrupt() as stop:
        yield stop


@contextmanager
def first_interrupt() -> Iterator[threading.Event | None]:
    """Give an event that the first Ctrl-C sets; the second does what it did before.

    None in a thread to which no signal comes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    stop = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, end)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def redrawn(wanted: bool) -> Iterator[Callable[[Callable[[], Analysis]], None] | None]:
    """Redraw the summary in place, seldom enough that reading keeps its time."""
    if not wanted:
        yield None
        return
    from io import StringIO

    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from pcapkit.report.terminal import render_terminal

    console = Console(file=sys.stdout, highlight=False)
    due = 0.0
    with Live(console=console, auto_refresh=False, transient=True) as screen:

        def watch(so_far: Callable[[], Analysis]) -> None:
            nonlocal due
            began = time.monotonic()
            if began < due:
                return
            drawn = StringIO()
            render_terminal(
                so_far(),
                Console(
                    file=drawn,
                    highlight=False,
                    width=console.width,
                    force_terminal=True,
                    color_system="standard",
                    no_color=console.no_color,
                ),
            )
            screen.update(Text.from_ansi(drawn.getvalue()), refresh=True)
            ended = time.monotonic()
            due = ended + max(_REDRAW_S, 4 * (ended - began))

        yield watch


@contextmanager
def painting(formats: tuple[str, ...]) -> Iterator[Painter | None]:
    """Start what draws the charts, where some are wanted."""
    if not {"html", "png"} & set(formats):
        yield None
        return
    from pcapkit.report.html.painter import Painter

    with Painter() as painter:
        yield painter
