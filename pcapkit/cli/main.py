"""The entry point: errors become messages and exit statuses here, and nowhere else."""

from __future__ import annotations

import errno
import gc
import os
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
    if kept := sys.modules.get("pcapkit.kernels.cache"):
        kept.remove_temporary()
    for ended_by in _ended_by:
        os.kill(os.getpid(), ended_by)
    os._exit(status)


def _reader_has_gone() -> int:
    """Leave quietly where the reader of our output (head, less) has gone, as other tools do."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_GONE


def _run() -> int:
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
        # What was interrupted half-made (a kernel that was being loaded) complains as it goes.
        sys.unraisablehook = lambda _: None
        if not _ended_by:
            click.echo("interrupted", err=True)
        return 130
    except BrokenPipeError:
        return _reader_has_gone()
    except Exception as error:
        # Python's own exit status for these, 1, would say that a threshold was crossed.
        if debug:
            raise
        if isinstance(error, OSError) and error.errno in _FULL:
            with suppress(OSError, ValueError):  # what waits to be printed would fail once more
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            say(f"error: the output cannot be written: {error.strerror}")
            return 2
        what = str(error) or "no more is known"
        say(
            f"error: {type(error).__name__}: {what} (a fault of pcapkit: 'pcapkit --debug' shows "
            "where; please report it)"
        )
        return 2
