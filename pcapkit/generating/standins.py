"""Names and addresses made up in the place of those of a capture."""

from __future__ import annotations

from collections.abc import Collection
from ipaddress import ip_address
from random import Random

from pcapkit.analysis.lookups.waste import PROBES
from pcapkit.cluster.conventions import CLUSTER_DOMAIN, SERVICES
from pcapkit.names.text import fold

_CONSONANTS, _VOWELS = "bdfgklmnprstvz", "aeiou"
_SYLLABLES = 3
#: Domains that are reserved (RFC 2606): nobody's names.
_OUTSIDE = ("example.com", "example.net", "example.org")
_RESERVED = "example"
_REVERSE = ("in-addr.arpa", "ip6.arpa")
#: Labels of service names (RFC 6335) that say nothing of anybody.
_SERVICE_LABELS = frozenset({*PROBES, "_tcp", "_udp"})
_HEX = "0123456789abcdef"
_MOST_ON_NODE = 250


class StandIns:
    """Gives each name of a capture one with as many labels, of words that the capture lacks."""

    def __init__(self, dice: Random, domain: str, taken: Collection[str]) -> None:
        self._dice, self._domain = dice, domain
        self._taken = set(taken)
        self._names: dict[str, str] = {}
        self._suffixes: dict[str, str] = {}

    def _word(self) -> str:
        """Return a new word."""
        while True:
            pick = self._dice.choice
            word = "".join(pick(_CONSONANTS) + pick(_VOWELS) for _ in range(_SYLLABLES))
            for made in (word, f"{word}{len(self._taken)}"):
                if made not in self._taken:
                    self._taken.add(made)
                    return made

    def suffix(self, name: str) -> str:
        """Return the stand-in of a search suffix; the root stays the root."""
        if name not in self._suffixes:
            self._suffixes[name] = "." if name == "." else self._inside(name) or self._outside(name)
        return self._suffixes[name]

    def name(self, name: str) -> str:
        """Return the stand-in of a name as an application asked for it."""
        name = fold(name)
        if name not in self._names:
            self._names[name] = (
                self._reverse(name)
                or self._inside(name)
                or self._service(name)
                or self._outside(name)
            )
        return self._names[name]

    def _inside(self, name: str) -> str | None:
        """Return what stands for a name of the cluster: its domain is the usual one."""
        if name == self._domain:
            return CLUSTER_DOMAIN
        if not name.endswith(f".{self._domain}"):
            return None
        labels = name[: -len(self._domain) - 1].split(".")
        kept = [s if s == SERVICES else self._label(s) for s in labels]
        return ".".join((*kept, CLUSTER_DOMAIN))

    def _service(self, name: str) -> str | None:
        """Return what stands for a name such as ``web.shop.svc``, or one label."""
        labels = name.split(".")
        if len(labels) > 1 and labels[-1] == SERVICES:
            return ".".join((*map(self._label, labels[:-1]), SERVICES))
        return self._label(name) if len(labels) == 1 else None

    def _outside(self, name: str) -> str:
        labels = name.split(".")
        if len(labels) == 1:
            return self._word()
        ends = self._dice.choice(_OUTSIDE).split(".") if len(labels) > 2 else [_RESERVED]
        return ".".join((*map(self._label, labels[: -len(ends)]), *ends))

    def _label(self, label: str) -> str:
        if label.startswith("_"):
            return label if label in _SERVICE_LABELS else "_svc"
        return self._word()

    def _reverse(self, name: str) -> str | None:
        for domain in _REVERSE:
            if name.endswith(f".{domain}"):
                count = name[: -len(domain) - 1].count(".") + 1
                if domain == "in-addr.arpa":
                    parts = [str(self._dice.randrange(1, 255)) for _ in range(count)]
                else:
                    parts = [self._dice.choice(_HEX) for _ in range(count)]
                return ".".join((*parts, domain))
        return None


class Addresses:
    """Gives addresses of networks in which the capture has none.

    ``server`` is a nameserver's, ``records`` are the first ones that answers hold.
    """

    def __init__(self, dice: Random, taken: Collection[str]) -> None:
        used = {ip_address(a).packed[:2] for a in taken if _is_address(a)}
        free = [
            bytes(net)
            for net in (*((10, n) for n in range(256)), *((198, 18 + n) for n in range(2)))
            if bytes(net) not in used
        ]
        dice.shuffle(free)
        free = free if len(free) > 1 else [bytes((10, n)) for n in range(256)]
        services, self._pods = free[0], free[1:]
        self.server = str(ip_address(services + bytes((0, 10))))
        prefix = bytes((0xFD, *(dice.randrange(256) for _ in range(7))))
        self.records = services + bytes((64, 0)), prefix + bytes(8)
        self._next = 0

    def client(self) -> str:
        """Return the next client's address."""
        node, place = divmod(self._next, _MOST_ON_NODE)
        net, node = divmod(node, 256)
        self._next += 1
        return str(ip_address(self._pods[net % len(self._pods)] + bytes((node, place + 2))))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
