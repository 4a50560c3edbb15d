"""Pseudonyms of IP and link-layer addresses.

IP addresses: ipcrypt-pfx (draft-denis-ipcrypt), which flips a bit or not by what stands before it,
so that two addresses share as many leading bits as they did. Where the two halves of a range are of
different classes (see CLASSES) the bit is left as it is: each address keeps its class, different
addresses stay different, and shared prefixes stay shared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from pcapkit.sharing.key import Key


class AddressClass(NamedTuple):
    """A range of addresses whose pseudonyms lie in it; ``kept``: they are the addresses."""

    network: str
    name: str
    kept: bool


#: Everything else is public. Longer prefixes come after those that they lie in.
CLASSES = (
    AddressClass("0.0.0.0/8", "this network", True),
    AddressClass("10.0.0.0/8", "private", False),
    AddressClass("100.64.0.0/10", "shared", False),
    AddressClass("127.0.0.0/8", "loopback", True),
    AddressClass("169.254.0.0/16", "link-local", False),
    AddressClass("169.254.20.10/32", "NodeLocal DNSCache", True),
    AddressClass("169.254.169.253/32", "resolver of AWS", True),
    AddressClass("169.254.169.254/32", "metadata and resolver of clouds", True),
    AddressClass("172.16.0.0/12", "private", False),
    AddressClass("192.168.0.0/16", "private", False),
    AddressClass("224.0.0.0/4", "multicast", True),
    AddressClass("240.0.0.0/4", "reserved", True),
    AddressClass("::/128", "unspecified", True),
    AddressClass("::1/128", "loopback", True),
    AddressClass("::ffff:0:0/96", "IPv4-mapped", False),
    AddressClass("64:ff9b::/96", "NAT64", False),
    AddressClass("2000::/3", "public", False),
    AddressClass("fc00::/7", "private", False),
    AddressClass("fe80::/10", "link-local", False),
    AddressClass("ff00::/8", "multicast", True),
    AddressClass("ff02::1:ff00:0/104", "solicited node", False),
)
#: IPv6 prefixes of 96 bits behind which an IPv4 address stands, which is mapped as such.
_HOLDING_IPV4 = (bytes(10) + b"\xff\xff", bytes.fromhex("0064ff9b") + bytes(8))
_BROADCAST, _CALICO = b"\xff" * 6, b"\xee" * 6
_SOLICITED = b"\x33\x33\xff"


def _ranges(bits: int) -> list[tuple[int, int, bool]]:
    """Return (prefix, its length, kept) of the classes of addresses of so many bits."""
    out = []
    for row in CLASSES:
        network: IPv4Network | IPv6Network = ip_network(row.network)
        if network.max_prefixlen == bits:
            size = network.prefixlen
            out.append((int(network.network_address) >> (bits - size), size, row.kept))
    return out


class Addresses:
    """The map of addresses under a key."""

    def __init__(self, key: Key) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._ciphers = [
            Cipher(algorithms.AES(half), modes.ECB()).encryptor()  # noqa: S305 - a PRF's blocks
            for half in (key.addresses[:16], key.addresses[16:])
        ]
        self._key = key
        self._ranges = {bits: _ranges(bits) for bits in (32, 128)}
        self._mixed = {
            bits: {(p >> (size - d), d) for p, size, _ in rows for d in range(size)}
            for bits, rows in self._ranges.items()
        }

    def pads(self, prefixes: Iterable[bytes]) -> list[int]:
        """Return whether the bit behind each padded prefix (16 bytes) is flipped: 1 or 0."""
        blocks = b"".join(prefixes)
        one, other = (cipher.update(blocks) for cipher in self._ciphers)
        return [(one[k] ^ other[k]) & 1 for k in range(15, len(blocks), 16)]

    def encrypt(self, packed: bytes, *, keep: frozenset[int] = frozenset()) -> bytes:
        """Return ipcrypt-pfx of an address of 4 or 16 bytes; bits in ``keep`` stay as they are."""
        bits = len(packed) * 8
        value = int.from_bytes(packed, "big")
        # The prefix so far stands behind one set bit, at the end of 128: of IPv4 addresses, behind
        # the 96 bits that make them IPv6 addresses.
        head = (1 << 96) | 0xFFFF if bits == 32 else 1
        mask = (1 << 128) - 1
        prefixes = [
            (((head << d) | (value >> (bits - d))) & mask).to_bytes(16, "big") for d in range(bits)
        ]
        for depth, flip in enumerate(self.pads(prefixes)):
            if flip and depth not in keep:
                value ^= 1 << (bits - 1 - depth)
        return value.to_bytes(len(packed), "big")

    def ip(self, packed: bytes) -> bytes:
        """Return the pseudonym of an IP address of 4 or 16 bytes, of its class."""
        if len(packed) == 16 and packed[:12] in _HOLDING_IPV4:
            return packed[:12] + self.ip(packed[12:])
        bits = len(packed) * 8
        value = int.from_bytes(packed, "big")
        if self.is_kept(packed):
            return packed
        mixed = self._mixed[bits]
        keep = frozenset(d for d in range(bits) if (value >> (bits - d), d) in mixed)
        return self.encrypt(packed, keep=keep)

    def is_kept(self, packed: bytes) -> bool:
        """Is the address its own pseudonym, as a constant that everybody knows?"""
        bits = len(packed) * 8
        value = int.from_bytes(packed, "big")
        kept = False
        for prefix, size, keeps in self._ranges[bits]:
            if value >> (bits - size) == prefix:
                kept = keeps
        return kept

    def leading(self, octets: Sequence[int]) -> list[int]:
        """Return the pseudonyms of the first octets of an IPv4 address."""
        whole = bytes(octets) + bytes(4 - len(octets))
        return list(self.ip(whole)[: len(octets)])

    def leading_nibbles(self, nibbles: Sequence[int]) -> list[int]:
        """Return the pseudonyms of the first half-octets of an IPv6 address."""
        digits = "".join(f"{n:x}" for n in nibbles).ljust(32, "0")
        return [int(c, 16) for c in self.ip(bytes.fromhex(digits)).hex()[: len(nibbles)]]

    def link(self, packed: bytes) -> bytes:
        """Return the pseudonym of a link-layer address of 6 bytes.

        The two bits that say whether it is a group's, and locally administered, stay. Group
        addresses stay but for those made of an IPv6 address (RFC 2464 section 7).
        """
        if packed in (bytes(6), _BROADCAST, _CALICO):
            return packed
        if packed[0] & 1:
            if packed[:3] != _SOLICITED:
                return packed
            return _SOLICITED + self._feistel(int.from_bytes(packed[3:], "big"), 12).to_bytes(
                3, "big"
            )
        number = int.from_bytes(packed, "big")
        kept = (number >> 40) & 3
        packed_bits = ((number >> 42) << 40) | (number & ((1 << 40) - 1))
        while True:
            packed_bits = self._feistel(packed_bits, 23)
            out = ((packed_bits >> 40) << 42) | (kept << 40) | (packed_bits & ((1 << 40) - 1))
            new = out.to_bytes(6, "big")
            if new not in (bytes(6), _CALICO):
                return new

    def _feistel(self, value: int, half: int) -> int:
        """Permute numbers of twice ``half`` bits by ten rounds of a keyed hash."""
        mask = (1 << half) - 1
        left, right = value >> half, value & mask
        for turn in range(10):
            digest = blake2b(
                bytes([turn, half]) + right.to_bytes(4, "big"),
                digest_size=8,
                key=self._key.labels,
                person=b"pcapkit link",
            ).digest()
            left, right = right, left ^ (int.from_bytes(digest, "big") & mask)
        return (left << half) | right
