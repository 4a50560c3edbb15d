"""kubectl as a program: what it prints, and what its refusals mean in plain words."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pcapkit.errors import InputError, UsageError
from pcapkit.text import encodable

#: Seconds that one answer may take, a capture aside.
_PATIENCE_S = 60.0
#: What kubectl writes on standard error, in lower case, and what that means. The first that is in
#: it counts.
_MEANINGS = (
    ("violates podsecurity", "the Pod Security level of the namespace refuses it"),
    ("forbidden", "the cluster does not allow it to this account (RBAC)"),
    ("unauthorized", "the cluster does not know this account: log in again"),
    ("not found", "there is none of that name"),
    ("unable to connect to the server", "no cluster answers: check --context and KUBECONFIG"),
    ("connection refused", "no cluster answers: check --context and KUBECONFIG"),
    ("no configuration has been provided", "kubectl knows no cluster: set KUBECONFIG"),
    ("context was not found", "kubectl knows no context of that name"),
    ("operation not permitted", "the container may not capture (it lacks NET_RAW)"),
    ("permission to capture", "the container may not capture (it lacks NET_RAW)"),
    ("unknown flag", "this kubectl is too old for it"),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call of kubectl gave; ``status`` 0 is success."""

    status: int
    out: bytes
    err: str

    @property
    def why(self) -> str:
        """Why it failed, in plain words, with kubectl's own line behind it."""
        lines = [line for line in self.err.splitlines() if line.strip()]
        last = encodable(lines[-1].strip()) if lines else f"it ended with status {self.status}"
        return next((f"{m} ({last})" for sign, m in _MEANINGS if sign in self.err.lower()), last)


@dataclass(frozen=True, slots=True)
class Kubectl:
    """Calls kubectl in one context; arguments are never read by a shell."""

    context: str | None = None
    kubeconfig: str | None = None

    def command(self, *arguments: str) -> list[str]:
        """Return the whole command."""
        out = ["kubectl"]
        out += ["--kubeconfig", self.kubeconfig] if self.kubeconfig else []
        out += ["--context", self.context] if self.context else []
        return [*out, *arguments]

    def shown(self, *arguments: str) -> str:
        """Return the command as a shell takes it."""
        return shlex.join(self.command(*arguments))

    def ask(self, *arguments: str) -> Answer:
        """Run a command to its end. Raises UsageError where there is no kubectl."""
        check_there()
        try:
            done = subprocess.run(
                self.command(*arguments),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_PATIENCE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Answer(124, b"", f"no answer within {_PATIENCE_S:.0f} s")
        return Answer(done.returncode, done.stdout, done.stderr.decode(errors="replace"))

    def must(self, what: str, arguments: Sequence[str], hint: str | None = None) -> bytes:
        """Return what a command printed. Raises InputError where it failed: ``what`` was asked."""
        answer = self.ask(*arguments)
        if answer.status:
            raise InputError(what, answer.why, hint=hint)
        return answer.out

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Begin a command that prints for long, and ends where its standard input ends.

        It is no part of the terminal's group: Ctrl-C is for whoever reads it.
        """
        check_there()
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )


def check_there() -> None:
    """Raise UsageError where there is no kubectl."""
    if shutil.which("kubectl") is None:
        raise UsageError("kubectl is not on the PATH: install it, or capture as README says")
