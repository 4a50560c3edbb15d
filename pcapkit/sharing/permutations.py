"""Keyed permutations of strings of one length over one alphabet.

Long strings: ten rounds of a Feistel network over two halves, after FF1 (NIST SP 800-38G), with a
keyed BLAKE2 as the round function. Where only a part of the strings may come out, one that may not
is permuted again until one comes that may (cycle walking), which is a permutation of that part.
Short strings are few: they are put in the order of their keyed hashes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from itertools import product

#: Up to this many strings are listed.
_FEW = 60_000
_ROUNDS = 10
Member = Callable[[bytes], bool]


def digest(key: bytes, purpose: bytes, data: bytes, size: int) -> bytes:
    """Return a keyed hash of ``data`` (BLAKE2b) of so many bytes, another one for each purpose."""
    return blake2b(purpose + b"\0" + data, digest_size=size, key=key).digest()


def shuffled(key: bytes, purpose: bytes, members: list[bytes]) -> dict[bytes, bytes]:
    """Return a permutation of a few strings: each one's image."""
    ordered = sorted(members)
    mixed = sorted(ordered, key=lambda m: (digest(key, purpose, m, 16), m))
    return dict(zip(ordered, mixed, strict=True))


class Permutation:
    """A permutation of those strings over ``alphabet`` that are members, for each length."""

    def __init__(self, key: bytes, purpose: bytes, alphabet: bytes, member: Member) -> None:
        self._key, self._purpose, self._member = key, purpose, member
        self._alphabet = alphabet
        self._digits = {byte: number for number, byte in enumerate(alphabet)}
        self._listed = cache(self._list)

    def __call__(self, text: bytes) -> bytes:
        """Return the image of a member: a member of the same length."""
        if len(self._alphabet) ** len(text) <= _FEW:
            return self._listed(len(text))[text]
        while True:
            text = self._feistel(text)
            if self._member(text):
                return text

    def _list(self, length: int) -> dict[bytes, bytes]:
        strings = (bytes(letters) for letters in product(self._alphabet, repeat=length))
        purpose = self._purpose + bytes([length])
        return shuffled(self._key, purpose, [s for s in strings if self._member(s)])

    def _feistel(self, text: bytes) -> bytes:
        radix, half = len(self._alphabet), len(text) // 2
        sizes = (half, len(text) - half)
        left, right = self._number(text[:half]), self._number(text[half:])
        for turn in range(_ROUNDS):
            size = sizes[turn % 2]
            data = bytes([len(text), turn]) + right.to_bytes(40, "big")
            noise = int.from_bytes(digest(self._key, self._purpose, data, 56), "big")
            left, right = right, (left + noise) % radix**size
        return self._text(left, sizes[0]) + self._text(right, sizes[1])

    def _number(self, text: bytes) -> int:
        number = 0
        for byte in text:
            number = number * len(self._alphabet) + self._digits[byte]
        return number

    def _text(self, number: int, size: int) -> bytes:
        out = bytearray(size)
        for k in range(size - 1, -1, -1):
            number, digit = divmod(number, len(self._alphabet))
            out[k] = self._alphabet[digit]
        return bytes(out)
