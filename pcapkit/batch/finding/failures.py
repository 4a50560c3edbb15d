"""Why a capture has no report: one word for each kind of failure, by which they are grouped."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from pcapkit.errors import (
    ChangedInput,
    DamagedCapture,
    DeniedInput,
    EmptyInput,
    InputError,
    MissingInput,
    NoCredentials,
    NotACapture,
    PcapkitError,
    UnreachableInput,
    UsageError,
)


@dataclass(frozen=True, slots=True)
class FailureKind:
    """One kind: its word, and the errors that are of it; what it is called: report/text/audits."""

    word: str
    errors: tuple[type[BaseException], ...] = ()


#: The first that an error belongs to is its kind. The last ones are no input's fault.
KINDS: tuple[FailureKind, ...] = (
    FailureKind("missing", (MissingInput,)),
    FailureKind("permission", (DeniedInput,)),
    FailureKind("unreachable", (UnreachableInput,)),
    FailureKind("credentials", (NoCredentials,)),
    FailureKind("changed", (ChangedInput,)),
    FailureKind("empty", (EmptyInput,)),
    FailureKind("not-a-capture", (NotACapture,)),
    FailureKind("damaged", (DamagedCapture,)),
    FailureKind("unreadable", (InputError,)),
    FailureKind("options", (UsageError,)),
    FailureKind("too-large", (MemoryError,)),
    FailureKind("crashed"),
    FailureKind("timeout"),
    FailureKind("disk-full"),
    FailureKind("fault", (Exception,)),
)
WORDS = tuple(kind.word for kind in KINDS)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def kind_of(problem: BaseException) -> str:
    """Return the word for what an analysis failed with: one of WORDS."""
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return "disk-full"
        cause = cause.__cause__ or cause.__context__
    return next((k.word for k in KINDS if isinstance(problem, k.errors)), "fault")


def text_of(path: str, problem: BaseException) -> str:
    """Return what is said of a capture that an analysis failed with."""
    if isinstance(problem, PcapkitError):
        return str(problem)
    if isinstance(problem, MemoryError):
        return f"{path}: needs more memory than there is"
    return f"{path}: {type(problem).__name__}: {problem} (a fault of pcapkit)"
