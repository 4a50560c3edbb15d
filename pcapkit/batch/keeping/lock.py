"""One audit at a time writes to an output folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pcapkit.errors import InputError, UsageError
from pcapkit.text import encodable

NAME = "audit.lock"


def check_held(output: Path) -> None:
    """Raise InputError where the output folder of an audit has gone, and its lock with it.

    What is written there then would be a part of what was to be.
    """
    if not os.path.lexists(output / NAME):
        raise InputError(str(output), "was removed while the audit wrote there", hint="audit again")


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Hold the lock of an output folder, which is made where it is missing.

    The system lets go of it when the last process that has it ends, however it ends. The file
    stays, empty: who removed it could remove another audit's. Raises UsageError where another audit
    holds the lock, InputError where the folder cannot be written.
    """
    path = output / NAME
    try:
        output.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as problem:
        raise InputError(str(path), f"cannot be written: {problem.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 64).decode("ascii", "replace").strip()
            who = f", process {holder}," if holder.isdecimal() else ""
            raise UsageError(
                f"--output {encodable(str(output))}: another audit{who} writes there; wait for "
                "its end, or name another folder with -o"
            ) from None
        except OSError as problem:
            raise InputError(str(path), f"cannot be locked: {problem.strerror}") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)
