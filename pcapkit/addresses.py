"""IP addresses and networks, as text and as bytes."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from ipaddress import ip_address

from pcapkit.errors import UsageError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str, *, option: str) -> Network:
    """Return an address or a CIDR block; raises UsageError that names the option."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"{option} {text!r}: write an address or a block such as 10.244.0.0/16"
        ) from None


@lru_cache(maxsize=1 << 14)  # of each client it is asked again and again
def packed(address: str) -> bytes:
    """Return an address as bytes."""
    return ip_address(address).packed
