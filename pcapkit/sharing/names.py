"""Pseudonyms of domain names, label by label.

A label's stand-in follows from the label, in lower case, and at most from what stands behind it: so
names that share their last labels go on sharing them, and a name that a search list made longer is
its pseudonym with the list's behind it. Different names stay different: labels of one kind, which
their bytes tell, are permuted among themselves.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from pcapkit.names.text import MAX_NAME_BYTES, wire_labels
from pcapkit.sharing.addresses import Addresses
from pcapkit.sharing.key import Key
from pcapkit.sharing.permutations import Permutation, shuffled
from pcapkit.sharing.words import PROTOCOLS, UNDERSCORED, words

_DIGITS = b"0123456789"
_HOST = b"abcdefghijklmnopqrstuvwxyz" + _DIGITS + b"-"
_HEX = _DIGITS + b"abcdef"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALL = bytes(b for b in range(256) if b not in _UPPER)
_REVERSE_V4, _REVERSE_V6 = (b"in-addr", b"arpa"), (b"ip6", b"arpa")
_OCTETS, _NIBBLES = 4, 32
#: Labels of the most suffixes have so many behind them that decide.
_LONGEST_RULE = 5
_V6_WRITTEN = 3  # hyphens of the shortest address of a pod that is taken for one, and no name


def _numeric(label: bytes) -> bool:
    return (
        label.isdigit()
        and len(label) <= 3
        and int(label) < 256
        and str(int(label)) == (label.decode("ascii"))
    )


def dashed_address(label: bytes) -> bytes | None:
    """Return the address that a label writes with hyphens, as names of pods do; None: no address.

    ``10-244-1-7``, and ``fd00-10-244--7`` in the canonical form.
    """
    if label.count(b"-") < _V6_WRITTEN or not label.replace(b"-", b"").isalnum():
        return None
    text = label.decode("ascii")
    try:
        four = IPv4Address(text.replace("-", "."))
        return four.packed
    except AddressValueError:
        pass
    try:
        six = IPv6Address(text.replace("-", ":"))
    except AddressValueError:
        return None
    return six.packed if _dashed(six.packed) == label else None


def _dashed(packed: bytes) -> bytes:
    return str(ip_address(packed)).replace(".", "-").replace(":", "-").encode("ascii")


class Name(NamedTuple):
    """The pseudonym of a name as labels; and the one whose labels are as long as the name's."""

    mapped: list[bytes]
    fixed: list[bytes]


class Names:
    """The map of names under a key."""

    def __init__(self, key: Key, addresses: Addresses) -> None:
        self._addresses = addresses
        secret = key.labels
        self._host = Permutation(secret, b"host", _HOST, self._is_host)
        self._digits = Permutation(secret, b"digits", _DIGITS, bytes.isdigit)
        self._hex = Permutation(secret, b"hex", _HEX, bool)
        self._odd = Permutation(secret, b"odd", _HOST + b"_", self._is_odd)
        self._under = Permutation(secret, b"under", _HOST + b"_", self._is_under)
        self._other = Permutation(secret, b"other", _ALL, self._is_other)
        known = words()
        self._words = known
        self._exchanged = {
            **self._exchange(secret, known.long_tlds),
            **self._exchange(secret, known.long_words),
        }
        self._labels: dict[bytes, bytes] = {}

    @staticmethod
    def _exchange(key: bytes, members: frozenset[bytes]) -> dict[bytes, bytes]:
        out: dict[bytes, bytes] = {}
        for size in sorted({len(m) for m in members}):
            out |= shuffled(key, b"word", [m for m in members if len(m) == size])
        return out

    # What the bytes of a label say it is; each label is of one kind.

    def _is_known(self, label: bytes) -> bool:
        return label in self._words.kept or label in self._exchanged

    def _is_host(self, label: bytes) -> bool:
        return not (
            label.translate(None, _HOST)
            or label[0] == 0x2D
            or label[-1] == 0x2D
            or label.isdigit()
            or self._is_known(label)
            or dashed_address(label)
        )

    def _is_odd(self, label: bytes) -> bool:
        if label.translate(None, _HOST + b"_") or label[0] == 0x5F or dashed_address(label):
            return False
        return b"_" in label or label[0] == 0x2D or label[-1] == 0x2D

    def _is_under(self, rest: bytes) -> bool:
        return not rest.translate(None, _HOST + b"_") and b"_" + rest not in UNDERSCORED

    @staticmethod
    def _is_other(label: bytes) -> bool:
        return bool(label.translate(None, _HOST + b"_"))

    def labels(self, folded: list[bytes]) -> Name:
        """Return the pseudonyms of a name's labels, which are in lower case."""
        mapped = [self._label(label, folded[k + 1 :]) for k, label in enumerate(folded)]
        fixed = list(mapped)
        self._reverse(folded, mapped, fixed)
        for k, label in enumerate(folded):
            address = dashed_address(label)
            if address is not None:
                mapped[k] = _dashed(self._addresses.ip(address))
                fixed[k] = self._in_place(label)
        return Name(mapped, fixed)

    def wire(self, folded: bytes) -> tuple[bytes, bytes]:
        """Return both pseudonyms of a wire name in lower case; a name too long is as long."""
        name = self.labels(wire_labels(folded))
        mapped, fixed = (
            b"".join(bytes([len(label)]) + label for label in labels) + b"\0" for labels in name
        )
        return (mapped if len(mapped) <= MAX_NAME_BYTES else fixed), fixed

    def _label(self, label: bytes, behind: list[bytes]) -> bytes:
        if label in self._words.kept:
            return label
        if label[0] == 0x5F and label in UNDERSCORED or self._is_service(label, behind):
            return label
        if label in self._exchanged:
            if self._is_suffix(label, behind):
                return label
            while True:
                label = self._exchanged[label]
                if not self._is_suffix(label, behind):
                    return label
        known = self._labels.get(label)
        if known is None:
            known = self._labels[label] = self._stand_in(label)
        return known

    @staticmethod
    def _is_service(label: bytes, behind: list[bytes]) -> bool:
        return label[0] == 0x5F and bool(behind) and behind[0] in PROTOCOLS

    def _is_suffix(self, label: bytes, behind: list[bytes]) -> bool:
        """Does a public suffix of several labels, or what one ends in, begin here?"""
        suffixes = self._words.suffixes
        return any((label, *behind[:k]) in suffixes for k in range(1, _LONGEST_RULE))

    def _stand_in(self, label: bytes) -> bytes:
        if label.isdigit():
            return self._digits(label)
        if label[0] == 0x5F and not label.translate(None, _HOST + b"_"):
            return b"_" + self._under(label[1:]) if len(label) > 1 else label
        if dashed_address(label) is not None:
            return self._in_place(label)
        if self._is_host(label):
            return self._host(label)
        if self._is_odd(label):
            return self._odd(label)
        return self._other(label)

    def _in_place(self, label: bytes) -> bytes:
        """Return the stand-in of an address written with hyphens that is as long as it."""
        digits = self._hex(label.replace(b"-", b""))
        out = bytearray(label)
        places = [k for k, byte in enumerate(label) if byte != 0x2D]
        for k, byte in zip(places, digits, strict=True):
            out[k] = byte
        return bytes(out)

    def _reverse(self, folded: list[bytes], mapped: list[bytes], fixed: list[bytes]) -> None:
        """Fill in the labels that are parts of an address, before the reverse trees' names."""
        for k in range(1, len(folded) - 1):
            pair = (folded[k], folded[k + 1])
            if pair == _REVERSE_V4:
                first = k
                while first > max(0, k - _OCTETS) and _numeric(folded[first - 1]):
                    first -= 1
                octets = [int(label) for label in reversed(folded[first:k])]
                for place, value in enumerate(self._addresses.leading(octets) if octets else ()):
                    mapped[k - 1 - place] = str(value).encode("ascii")
            elif pair == _REVERSE_V6:
                first = k
                while first > max(0, k - _NIBBLES) and (
                    len(folded[first - 1]) == 1 and folded[first - 1] in _HEX
                ):
                    first -= 1
                nibbles = [int(label, 16) for label in reversed(folded[first:k])]
                new = self._addresses.leading_nibbles(nibbles) if nibbles else ()
                for place, value in enumerate(new):
                    mapped[k - 1 - place] = fixed[k - 1 - place] = b"%x" % value
