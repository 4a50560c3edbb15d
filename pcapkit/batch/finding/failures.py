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
    UnreachableInput,
    UsageError,
)


@dataclass(frozen=True, slots=True)
class FailureKind:
    """One kind: its word, what a heading says of it, and the errors that are of it."""

    word: str
    title: str
    errors: tuple[type[BaseException], ...] = ()


#: The first that an error belongs to is its kind. The last ones are no input's fault.
KINDS: tuple[FailureKind, ...] = (
    FailureKind("missing", "There is no such file", (MissingInput,)),
    FailureKind("permission", "No permission to read", (DeniedInput,)),
    FailureKind("unreachable", "The host or service does not answer", (UnreachableInput,)),
    FailureKind("credentials", "Credentials are missing or refused", (NoCredentials,)),
    FailureKind("changed", "Changed while it was read", (ChangedInput,)),
    FailureKind("empty", "Empty", (EmptyInput,)),
    FailureKind("not-a-capture", "Not a capture", (NotACapture,)),
    FailureKind("damaged", "Damaged from the beginning", (DamagedCapture,)),
    FailureKind("unreadable", "Cannot be read", (InputError,)),
    FailureKind("options", "The options do not fit it", (UsageError,)),
    FailureKind("too-large", "Needs more memory than there is", (MemoryError,)),
    FailureKind("crashed", "The process that read it died"),
    FailureKind("timeout", "Not done within the time limit"),
    FailureKind("disk-full", "No space left where reports are written"),
    FailureKind("fault", "A fault of pcapkit", (Exception,)),
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


def title_of(word: str | None) -> str:
    """Return the heading over the failures of one kind."""
    return next((k.title for k in KINDS if k.word == word), "Failed")
