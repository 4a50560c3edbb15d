"""Jobs apart, in a process of limited memory and time: for those that may have killed theirs.

Jobs go in as a pickle through standard input, which stays open: at its end the process ends
itself, so that it never outlives the one that started it. Results come back through a pipe of
their own; what jobs print is thrown away.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pcapkit.batch.engines.engine import Job, Outcome
from pcapkit.concurrency import leave_with_caller, python_command
from pcapkit.text import encodable

_MIB = 1 << 20


def run_alone(job: Job, *, memory_bytes: int, seconds: float) -> Outcome:
    """Run a job in a fresh process; where that ends without a result, say how.

    ``memory_bytes`` are what the job may map beside what its process had mapped before,
    ``seconds`` of the wall clock.
    """
    return next(run_apart([job], memory_bytes=memory_bytes, seconds=seconds))


def run_apart(jobs: Sequence[Job], *, memory_bytes: int, seconds: float) -> Iterator[Outcome]:
    """Yield the outcome of each job, in order; they share a process until one of them ends it.

    That one runs once more as the first of another process, which is its last try. ``seconds`` are
    of one job.
    """
    waiting = deque(jobs)
    while waiting:
        is_first = True
        for answer in _Process(waiting, memory_bytes, seconds).answers():
            if answer.is_death and not is_first:
                break
            yield Outcome(waiting.popleft(), answer.result, answer.problem)
            is_first = False


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one job; ``is_death`` where its process ended, but not for lack of time."""

    result: Any
    problem: str | None
    is_death: bool = False


class _Process:
    """A process that runs jobs one after the other."""

    def __init__(self, jobs: Iterable[Job], memory_bytes: int, seconds: float) -> None:
        self._jobs = [(job.work, job.argument) for job in jobs]
        self._memory_bytes, self._seconds = memory_bytes, seconds
        self._is_late = threading.Event()

    def answers(self) -> Iterator[_Answer]:
        """Yield an answer for each job, up to the first that ends the process."""
        source, sink = os.pipe()
        with os.fdopen(source, "rb") as results:
            process = _start(sink, self._memory_bytes)
            assert process.stdin is not None
            try:
                given: Any = self._jobs
                for _ in self._jobs:
                    with self._timer(process):
                        answer = _ask(process, results, given)
                    given = None
                    if answer is None:
                        yield self._death(process.returncode)
                        return
                    yield _Answer(*answer)
            finally:
                _kill(process)
                process.wait()
                with suppress(OSError):  # what it never read
                    process.stdin.close()

    @contextmanager
    def _timer(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """End the process where the block takes too long."""

        def stop() -> None:
            self._is_late.set()
            _kill(process)

        timer = threading.Timer(self._seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _death(self, status: int) -> _Answer:
        """Say how the process ended."""
        if self._is_late.is_set():
            return _Answer(None, f"not done after {self._seconds:g} s, alone in a process")
        limit = f"alone in a process with {self._memory_bytes // _MIB} MiB of memory for it"
        if status >= 0:
            return _Answer(None, f"its process ended with status {status}, {limit}", True)
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return _Answer(None, f"its process died of {name}, {limit}", True)


def _start(sink: int, memory_bytes: int) -> subprocess.Popen[bytes]:
    """Start the process that writes its answer to ``sink``, which is closed here."""
    code = f"from pcapkit.batch.engines import alone; alone.child({sink}, {int(memory_bytes)})"
    try:
        return subprocess.Popen(
            python_command(code),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(sink,),
            start_new_session=True,  # Ctrl-C is for the caller to understand
        )
    finally:
        os.close(sink)


def _ask(
    process: subprocess.Popen[bytes], results: BinaryIO, jobs: object
) -> tuple[Any, str | None] | None:
    """Send jobs, where they have not been; return the next answer, or None at the process's end."""
    assert process.stdin is not None
    try:
        if jobs is not None:
            pickle.dump(jobs, process.stdin)
            process.stdin.flush()
        result, problem = pickle.load(results)
    except (OSError, EOFError, pickle.UnpicklingError):
        process.wait()  # it dies by itself, or for lack of time
        return None
    return result, problem


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it started in its group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def child(sink: int, memory_bytes: int) -> NoReturn:
    """Read jobs from standard input, run them, and write an answer for each to the pipe ``sink``.

    One that finds no memory behind others ends the process: alone it may find some.
    """
    with os.fdopen(sink, "wb") as results:
        try:
            jobs = pickle.load(sys.stdin.buffer)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is told
            results.write(pickle.dumps((None, _text(error))))
            jobs = ()
        leave_with_caller(sys.stdin.fileno())
        _limit_memory(memory_bytes)
        for number, (work, argument) in enumerate(jobs):
            result, problem = None, None
            try:
                result = work(argument)
            except MemoryError:
                if number:
                    os._exit(1)
                problem = f"needs more than {memory_bytes // _MIB} MiB of memory"
            except BaseException as error:  # noqa: BLE001 - see above
                problem = _text(error)
            results.write(pickle.dumps((result, problem)))
            results.flush()
    os._exit(0)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {encodable(str(error))}"


def _limit_memory(memory_bytes: int) -> None:
    """Limit what this process maps from now on, and leave no core file.

    Much of what the imports map is never used, so that a limit in all would be a guess.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):  # no Linux
        pages = 0
    limit = pages * resource.getpagesize() + memory_bytes
    with suppress(ValueError, OSError):  # a lower limit is set, or this system sets none
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
