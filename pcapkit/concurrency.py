"""Work that runs ahead of its consumer, in a thread; and how other processes are started.

The compiled kernels release the interpreter's lock, so decoding the next window while the last one
is paired keeps two cores busy. Order is never changed: what comes out is what the iterator or the
tasks give, in their order. A process that has its core to itself, as one of several that share the
captures of an audit, starts no threads (:func:`use_threads`): all runs where it is asked for.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import FrameType

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Threads that read clients, one a core; each holds the working memory of one part. With 1, no
#: others are started at all; see :func:`use_threads`.
READERS = min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)
_MOST_READERS = READERS
#: How long a thread that is no longer wanted is waited for.
LEAVING_S = 1.0
_LOOK_S = 0.1
#: Of prctl(2): linux/prctl.h.
_PR_SET_PDEATHSIG = 1
_END = object()


def cores() -> int:
    """Return how many cores this process may use: those of its container, where it is in one."""
    most = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with suppress(OSError, ValueError):  # no control groups of version 2, or no limit in them
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        most = min(most, max(1, round(int(quota) / int(period))))
    return most


def use_threads(most: int) -> None:
    """Let at most so many threads work in this process, from now on; 1 is the caller's own."""
    global READERS
    READERS = max(1, min(most, _MOST_READERS))


def close(items: object) -> None:
    """Let a generator that nobody asks any more end what it has begun."""
    if isinstance(items, Generator):
        items.close()


@contextmanager
def ahead(
    items: Iterator[Item], *, depth: int = 2, stop: threading.Event | None = None
) -> Iterator[Iterator[Item]]:
    """Give the items of an iterator that runs in a thread, at most ``depth`` items ahead.

    What the iterator raises is raised where its item would have come. Leaving the block early stops
    the thread before its next item, and closes the iterator. Once ``stop`` is set, the items that
    are ready are the last.
    """
    if READERS == 1 and stop is None:  # who may stop it does not wait for a silent pipe
        try:
            yield items
        finally:
            close(items)
        return
    queue: Queue[object] = Queue(depth)
    left = threading.Event()
    problem: list[BaseException] = []

    def put(item: object) -> bool:
        while not left.is_set():
            try:
                queue.put(item, timeout=0.1)
                return True
            except Full:
                continue
        return False

    def run() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            problem.append(error)
        finally:
            close(items)
        put(_END)

    def take() -> object:
        while True:
            if stop is not None and stop.is_set():
                left.set()
            try:
                return queue.get(timeout=None if stop is None else _LOOK_S)
            except Empty:
                if left.is_set():
                    return _END

    def consume() -> Iterator[Item]:
        while (item := take()) is not _END:
            yield item  # type: ignore[misc]
        if problem:
            raise problem[0]

    thread = threading.Thread(target=run, name="pcapkit-ahead", daemon=True)
    thread.start()
    try:
        yield consume()
    finally:
        left.set()
        thread.join(LEAVING_S)  # a read from a silent pipe cannot be stopped, only left behind


def in_order(
    tasks: Iterable[Callable[[], Result]], *, workers: int | None = None
) -> Iterator[Result]:
    """Run tasks in threads and give their results in the order of the tasks.

    Tasks are drawn from the iterable in the caller's thread, ``workers`` (as many as this process
    may have) ahead of the results.
    """
    workers = workers or READERS
    if workers == 1:
        for task in tasks:
            yield task()
        return
    # The painter imports this module too, and is started as early as can be.
    from concurrent.futures import ThreadPoolExecutor

    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="pcapkit-reader") as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(task))
                while len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def at_once(tasks: Sequence[Callable[[], Result]], *, is_long: bool) -> list[Result]:
    """Return the results of some tasks, which are run in threads where they are long."""
    return list(in_order(tasks)) if is_long else [task() for task in tasks]


def import_paths() -> list[str]:
    """Return from where another process imports, whole paths: as this one, but not from the working
    directory.

    There captures of strangers are unpacked; only a package that lies there itself (a checkout) is
    imported from it.
    """
    home = str(Path(__file__).resolve().parents[1])
    paths = [os.path.abspath(path) for path in sys.path if path]
    return [path for path in paths if path == home or path != os.getcwd()]


def python_command(code: str) -> list[str]:
    """Return the command of a Python process that runs ``code``, away from where it is started.

    A plain ``python -c`` would import from the working directory first.
    """
    return [sys.executable, "-I", "-c", f"import sys; sys.path[:] = {import_paths()!r}; {code}"]


def leave_with_caller(pipe: int) -> None:
    """End this process soon after nobody holds the other end of a pipe that brings no more work.

    A timer looks, not a thread that waits in a read: one that draws a large chart was seen to keep
    such a thread from running for as long as it drew (CPython 3.11).
    """

    def look(_signal: int, _frame: FrameType | None) -> None:
        if select.select([pipe], [], [], 0)[0]:  # nothing follows the work: this is the end
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)


def die_with_parent(parent: int) -> None:
    """End this process when its parent ends, however that is; where the system can do that.

    The thread that forked this process counts as its parent: prctl(2). What ends the parent early
    ends this one at once: it has nothing to tidy up.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it was faster
        os._exit(1)
