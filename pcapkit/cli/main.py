"""The entry point: errors become messages and exit statuses here, and nowhere else."""

from __future__ import annotations

import errno
import gc
import os
import resource
import signal
import sys
from contextlib import suppress
from types import FrameType

import click

from pcapkit.cli.output import say
from pcapkit.cli.root import READER_GONE, cli
from pcapkit.errors import PcapkitError
from pcapkit.memory import keep_freed_memory

#: No space is left where something is written to, standard output too.
_FULL = (errno.ENOSPC, errno.EDQUOT)
#: What else ends a run early: the system that goes down, a terminal that is closed.
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_ended_by: list[int] = []
#: With less to map, libraries cannot be loaded or an analysis cannot begin; bytes.
_LEAST_MEMORY = 1 << 30
#: With less, OpenBLAS ends the process while NumPy is imported, and with a gate's status.
_LEAST_TO_BEGIN = 160 << 20


def _pass_on(unraisable: sys.UnraisableHookArgs) -> None:
    """Repeat an interrupt that fell into a destructor, where Python would only print it."""
    if unraisable.exc_type is KeyboardInterrupt:
        signal.raise_signal(signal.SIGINT)
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    """End the run as Ctrl-C does, so that what it has begun to write goes; then by this signal."""
    _ended_by.append(number)
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def _open_closed_streams() -> None:
    """Connect standard streams that the caller has closed to the null device.

    Else the next file that is opened would take the place of one of them.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, "w" if number else "r"))  # noqa: SIM115


def main() -> None:
    """Run the command line; turn the package's errors into messages and exit codes."""
    _open_closed_streams()
    sys.unraisablehook = _pass_on
    for number in _ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:  # not ignored, as nohup has it
            signal.signal(number, _interrupt)
    keep_freed_memory()
    # Nothing here multiplies matrices. NumPy's threads for that take as long to start as NumPy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(300_000, 20, 100)  # an analysis makes many objects, and hardly a cycle
    status = _run()
    # Python would give up all that was read piece by piece, and take the ground from under a thread
    # that still decodes, or waits for a pipe. All files are closed by now.
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    for number in (signal.SIGINT, *_ENDING):  # it has ended
        signal.signal(number, signal.SIG_IGN)
    if files := sys.modules.get("pcapkit.files"):
        files.drop_begun()
    if kept := sys.modules.get("pcapkit.kernels.cache"):
        kept.remove_temporary()
    for ended_by in _ended_by:
        signal.signal(ended_by, signal.SIG_DFL)
        os.kill(os.getpid(), ended_by)
    os._exit(status)


def _is_interrupted(error: BaseException | None) -> bool:
    """Is this an interrupt that Python, or a library, has made another error of?"""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _interrupted() -> int:
    # What was interrupted half-made (a kernel that was being loaded) complains as it goes.
    sys.unraisablehook = lambda _: None
    if not _ended_by:
        click.echo("interrupted", err=True)
    return 130


def _reader_has_gone() -> int:
    """Leave quietly where the reader of our output (head, less) has gone, as other tools do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE


def _lack_behind(error: Exception) -> str | None:
    """Return what an error comes of that this machine, or this process, has too little of."""
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return f"the output cannot be written: {os.strerror(number or 0)}"
    if number in (errno.EMFILE, errno.ENFILE):
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return f"too many open files: {files} are allowed ('ulimit -n' says how many)"
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    has_little = limit != resource.RLIM_INFINITY and limit < _LEAST_MEMORY
    if isinstance(error, MemoryError) or number == errno.ENOMEM:
        little = f": {limit >> 20} MiB are allowed ('ulimit -v')" if has_little else ""
        return f"there is not enough memory{little}"
    # A library that finds no place, a thread that cannot be started.
    if has_little and isinstance(error, (OSError, ImportError, RuntimeError)):
        return f"there is not enough memory: {limit >> 20} MiB are allowed ('ulimit -v')"
    return None


def _run() -> int:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY and limit < _LEAST_TO_BEGIN:
        say(f"error: there is not enough memory: {limit >> 20} MiB are allowed ('ulimit -v')")
        return 2
    debug = "--debug" in sys.argv[1:2] or os.environ.get("PCAPKIT_DEBUG", "0") not in ("", "0")
    try:
        status = cli(standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except PcapkitError as error:
        if debug:
            raise
        say(f"error: {error}")
        return 2
    except SystemExit as leave:
        if isinstance(leave.__context__, BrokenPipeError):
            return _reader_has_gone()  # click and rich leave with 1, which is a gate's
        return leave.code if isinstance(leave.code, int) else 0
    except click.exceptions.Exit as left:
        return left.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except BrokenPipeError:
        return _reader_has_gone()
    except Exception as error:
        if _is_interrupted(error):
            return _interrupted()
        # Python's own exit status for these, 1, would say that a threshold was crossed.
        if debug:
            raise
        if (lack := _lack_behind(error)) is not None:
            with suppress(OSError, ValueError):  # what waits to be printed would fail once more
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            say(f"error: {lack}")
            return 2
        what = str(error) or "no more is known"
        say(
            f"error: {type(error).__name__}: {what} (a fault of pcapkit: 'pcapkit --debug' shows "
            "where; please report it)"
        )
        return 2
