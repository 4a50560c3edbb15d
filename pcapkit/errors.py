"""What can go wrong, as one tree. Nothing foreign escapes the package.

    PcapkitError
    ├── UsageError          the request makes no sense (an unknown option value, a bad resolv.conf)
    └── InputError          what was given cannot be read
        ├── MissingInput    there is nothing of that name
        ├── DeniedInput     there is, but no permission to read it
        ├── UnreachableInput    its host or service does not answer
        ├── NoCredentials   its service wants to know who asks
        ├── ChangedInput    what was read is neither what was there before nor what is there now
        ├── NotACapture     the bytes are no capture in any format known here
        │   └── EmptyInput  there are no bytes
        └── DamagedCapture  a capture, but so damaged that nothing of it could be read

Damage that leaves something readable is not an error: it is a warning and a mark in the result.
"""

from __future__ import annotations

from pcapkit.text import shown_path


class PcapkitError(Exception):
    """Base of every error this package raises. The text is one sentence for the user."""


class UsageError(PcapkitError):
    """The request itself is wrong."""


class InputError(PcapkitError):
    """A file or stream cannot be used; ``path`` names it, ``hint`` says what to do next.

    All of them are text that can be written, whatever the file is called, without what a URL has of
    secrets.
    """

    def __init__(self, path: str, problem: str, *, hint: str | None = None) -> None:
        self.path = shown_path(path)
        self.problem = problem
        self.hint = hint
        super().__init__(f"{self.path}: {problem}" + (f" ({hint})" if hint else ""))


class MissingInput(InputError):
    """There is no file, folder or object of that name."""


class DeniedInput(InputError):
    """Whoever asks has no permission to read it."""


class UnreachableInput(InputError):
    """The host or service that has it does not answer, or not in time."""


class NoCredentials(InputError):
    """The service that has it was given no credentials, or refuses them."""


class ChangedInput(InputError):
    """It was written over while it was read."""


class NotACapture(InputError):
    """The bytes are no capture in any known format."""


class EmptyInput(NotACapture):
    """There are no bytes at all."""


class DamagedCapture(InputError):
    """A capture whose very beginning is damaged."""
