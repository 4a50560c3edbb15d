"""resolv.conf(5): its directives, options and limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pcapkit.errors import UsageError
from pcapkit.names.text import fold, wire_from_text

MAX_NDOTS = 15  #: glibc's RES_MAXNDOTS; musl, c-ares and Go cap at the same value

MAX_TIMEOUT, MAX_ATTEMPTS = 30, 5  #: glibc's RES_MAXRETRANS and RES_MAXRETRY

_DIRECTIVES = ("nameserver", "search", "domain", "options", "sortlist")


@dataclass(frozen=True, slots=True)
class ResolverConfig:
    """A parsed resolv.conf."""

    nameservers: tuple[str, ...]
    search: tuple[str, ...]
    ndots: int | None
    options: tuple[str, ...]
    path: str
    search_line: str = ""  #: the line that holds ``search``, as it is written

    @property
    def ndots_in_force(self) -> int:
        """The value that counts: 1 where the file names none (resolv.conf(5))."""
        return 1 if self.ndots is None else self.ndots

    def number(self, option: str, usual: float, most: float) -> float:
        """Return the last value of an option such as ``timeout:2``, capped; else ``usual``."""
        value = usual
        for text in self.options:
            key, _, given = text.partition(":")
            if key == option and given.isdecimal():
                value = min(float(given), most)
        return value


def _suffixes(words: Sequence[str], *, where: str) -> tuple[str, ...]:
    for word in words:
        try:
            wire_from_text(word)
        except ValueError as problem:
            raise UsageError(f"{where}: {problem}") from None
    return tuple(fold(w) if w != "." else w for w in words)


def parse_resolv_conf(text: str, *, path: str) -> ResolverConfig:
    """Parse resolv.conf(5): the last ``search`` or ``domain`` line wins, ndots is capped at 15.

    Raises UsageError, naming the line, where it is something else.
    """
    servers: list[str] = []
    search: tuple[str, ...] = ()
    search_line = ""
    options: list[str] = []
    known = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0][0] in "#;":
            continue
        if words[0] not in _DIRECTIVES:
            raise UsageError(
                f"{path}: line {number}: {words[0][:40]!r} is no resolv.conf directive "
                f"(expected {', '.join(_DIRECTIVES)})"
            )
        known = True
        if words[0] == "nameserver":
            servers += words[1:2]
        elif words[0] in ("search", "domain"):
            search = _suffixes(words[1:], where=f"{path}: line {number}")
            search_line = line
        elif words[0] == "options":
            options += words[1:]
    if not known:
        raise UsageError(f"{path}: line 1: not a resolv.conf: it has no directive at all")
    ndots = None
    for option in options:
        if option.startswith("ndots:") and option[6:].isdecimal():
            ndots = min(int(option[6:16]), MAX_NDOTS)
    return ResolverConfig(tuple(servers), search, ndots, tuple(options), path, search_line)
