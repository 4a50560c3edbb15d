"""What tshark reads of a capture: the independent judge of the packet readers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

TSHARK = shutil.which("tshark")

FIELDS = ("frame.number", "frame.time_epoch", "dns.id", "dns.flags", "dns.qry.type", "dns.qry.name")
_SEPARATOR, _AGGREGATOR = "\t", "\x1e"

#: number of the packet, ns since 1970, ID, flags, type and name of the question
Message = tuple[int, int, int, int, int | None, str | None]


def messages(path: Path) -> list[Message]:
    """Return the messages of a capture whose packets hold one each, in order.

    Where a packet holds several, the questions are left out: tshark lists them apart.
    """
    assert TSHARK is not None
    shown = "dns && !mdns && !llmnr && !icmp && !icmpv6 && (udp.port == 53 || tcp.port == 53)"
    command = [
        TSHARK,
        "-n",
        "-r",
        str(path),
        "-Y",
        shown,
        "-T",
        "fields",
        "-E",
        "occurrence=a",
        "-E",
        f"separator={_SEPARATOR}",
        "-E",
        f"aggregator={_AGGREGATOR}",
    ]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    out: list[Message] = []
    for line in done.stdout.split("\n"):
        if not line:
            continue
        number, time, idents, flags, types, names = line.split(_SEPARATOR)
        seconds, _, fraction = time.partition(".")
        at = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))
        several = _AGGREGATOR in idents
        for ident, flag in zip(idents.split(_AGGREGATOR), flags.split(_AGGREGATOR), strict=True):
            one = not several and types and _AGGREGATOR not in types
            out.append(
                (
                    int(number),
                    at,
                    int(ident, 16),
                    int(flag, 16),
                    int(types) if one else None,
                    names if one else None,
                )
            )
    return out


def flags_of(row: Mapping[str, object], codes: Mapping[str, int]) -> int:
    """Return the header's flags without opcode, AD and CD, from a row of ``messages``."""
    out = 0
    for bit, name in (
        (0x8000, "is_response"),
        (0x400, "aa"),
        (0x200, "tc"),
        (0x100, "rd"),
        (0x80, "ra"),
    ):
        out |= bit if row[name] else 0
    rcode = row["rcode"]
    return out | (codes[str(rcode)] & 15 if rcode is not None else 0)
