"""IP addresses and networks, as text and as bytes, and the names that stand for addresses.

Lines that tcpdump prints without ``-n``, and flows that name pods, show a host's name where its
address would be. Such a name is an identity like an address is: its bytes are those of its text
between marks that no text and no address has.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address

from pcapkit.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME = re.compile(r"[^\W\d]")  # a letter: no IPv4 address or block has one
_MARK = b"\xff"  # in no UTF-8 text
_SIZES = (4, 16)


def parse_network(text: str, *, option: str) -> Network:
    """Return an address or a CIDR block; raises UsageError that names the option."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"{option} {text!r}: write an address or a block such as 10.244.0.0/16"
        ) from None


def parse_client(text: str, *, option: str) -> Network | str:
    """Return an address, a CIDR block, or a name that stands for an address, in lower case.

    Raises UsageError that names the option where it is none, as with 10.0.0.300.
    """
    if not _NAME.search(text) or ":" in text:
        return parse_network(text, option=option)
    return text.lower()


@lru_cache(maxsize=1 << 14)  # of each client it is asked again and again
def packed(address: str) -> bytes:
    """Return an address, or a name that stands for one, as bytes."""
    found = ip_or_none(address)
    return packed_name(address) if found is None else found.packed


def packed_name(name: str) -> bytes:
    """Return the bytes of a name that stands for an address; no address has them."""
    out = _MARK + name.encode("utf-8", "replace")
    return out + _MARK if len(out) in _SIZES else out


def packed_container(address: bytes, names: Iterable[str | None]) -> bytes:
    """Return the bytes of a container at an address; no address and no name has them."""
    text = "\0".join(name or "" for name in names)
    begin = _MARK + _MARK + bytes([len(address)]) + address
    return begin + text.encode("utf-8", "replace") + _MARK * max(_SIZES)


def address_text(packed: bytes) -> str:
    """Return the text of an address, or of the name that stands for one."""
    if len(packed) in _SIZES:
        return str(ip_address(packed))
    return packed.strip(_MARK).decode("utf-8", "replace")


def ip_or_none(address: str | bytes) -> Address | None:
    """Return an address given as text or bytes; None for a name that stands for one."""
    if isinstance(address, bytes) and len(address) not in _SIZES:
        return None
    try:
        return ip_address(address)
    except ValueError:
        return None
