"""One job in a process of its own, with limited memory and time: for one that killed its process.

The job goes in as a pickle through standard input, which stays open: at its end the process ends
itself, so that it never outlives the one that started it. The result comes back through a pipe of
its own; what the job prints is thrown away.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import threading
from contextlib import suppress
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
    source, sink = os.pipe()
    with os.fdopen(source, "rb") as results:
        process = _start(sink, memory_bytes)
        is_late = threading.Event()

        def stop() -> None:
            is_late.set()
            _kill(process)

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            answer = _ask(process, results, job)
            if answer is None:
                process.wait()  # it dies, or the timer ends it
        finally:
            timer.cancel()
            _kill(process)
            process.wait()
            assert process.stdin is not None
            with suppress(OSError):  # what it never read
                process.stdin.close()
    if answer is not None:
        return Outcome(job, *answer)
    if is_late.is_set():
        return Outcome(job, None, f"not done after {seconds:g} s, alone in a process")
    return Outcome(job, None, _death(process.returncode, memory_bytes))


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
    process: subprocess.Popen[bytes], results: BinaryIO, job: Job
) -> tuple[Any, str | None] | None:
    """Send a job; return its result and its problem, or None where the process ended before."""
    assert process.stdin is not None
    try:
        pickle.dump((job.work, job.argument), process.stdin)
        process.stdin.flush()
        result, problem = pickle.load(results)
    except (OSError, EOFError, pickle.UnpicklingError):
        return None
    return result, problem


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it started in its group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _death(status: int, memory_bytes: int) -> str:
    """Say how a process ended."""
    limit = f"alone in a process with {memory_bytes // _MIB} MiB of memory for it"
    if status >= 0:
        return f"its process ended with status {status}, {limit}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"its process died of {name}, {limit}"


def child(sink: int, memory_bytes: int) -> NoReturn:
    """Read a job from standard input, run it, and write its result to the pipe ``sink``."""
    result, problem = None, None
    try:
        work, argument = pickle.load(sys.stdin.buffer)
        leave_with_caller(sys.stdin.fileno())
        _limit_memory(memory_bytes)
        result = work(argument)
    except MemoryError:
        problem = f"needs more than {memory_bytes // _MIB} MiB of memory"
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller is told
        problem = f"{type(error).__name__}: {encodable(str(error))}"
    with os.fdopen(sink, "wb") as results:
        results.write(pickle.dumps((result, problem)))
    os._exit(0)


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
