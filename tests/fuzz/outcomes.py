"""What a reader makes of some bytes, as values that can be compared across processes.

An outcome is a result or an error of the package. Whatever else comes out of a reader is a finding.
Ids and seeded hashes are left out: they differ from process to process, and nothing that is shown
may depend on them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from pcapkit.addresses import address_text
from pcapkit.errors import PcapkitError
from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.window import Capture, Interners, Window
from pcapkit.names.text import text_from_wire
from pcapkit.schema import MESSAGE, Messages

Outcome = list[Any]
PORTS = frozenset({53})
#: Every column of a message that is the same in all processes.
COLUMNS = tuple(
    n
    for n in MESSAGE.names or ()
    if n not in ("content", "link", "qname", "client", "server", "owner")
)


@dataclass(frozen=True)
class Target:
    """One reader under test.

    ``run`` takes any bytes and returns what the reader makes of them; ``seeds`` gives whole inputs
    to begin with; ``tokens`` are pieces of the format that are put into inputs. Longer inputs than
    ``most_bytes`` are not tried. ``slow`` inputs take milliseconds each.
    """

    name: str
    run: Callable[[bytes], Outcome]
    seeds: Callable[[], Iterable[bytes]]
    tokens: tuple[bytes, ...] = ()
    most_bytes: int = 1024


def outcome(target: Target, data: bytes) -> Outcome:
    """Return what a reader makes of ``data``; raises what is no error of the package."""
    try:
        return ["read", *target.run(data)]
    except PcapkitError as problem:
        return ["refused", type(problem).__name__, str(problem)]


def digest(value: Outcome) -> str:
    """Return a digest of an outcome, which is the same in every process."""
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def source_of(data: bytes, name: str = "input") -> Source:
    """Return bytes as an input that is open."""
    return Source(name, cast(BinaryIO, io.BytesIO(data)), len(data))


def text_of(data: bytes) -> str:
    """Return bytes as the text of a file; raises the error of a file that is none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise PcapkitError(f"byte {problem.start} is no text") from None


def message_rows(rows: Messages, interners: Interners) -> list[Any]:
    """Return messages with the text of their names and addresses."""
    sides = ("client", "server", "owner") if len(interners.addresses) else ()
    out: list[Any] = []
    for row in rows:
        number = int(row["qname"])
        name = text_from_wire(interners.names[number]) if number >= 0 else None
        ends = [
            address_text(interners.addresses[int(row[side])]) if int(row[side]) >= 0 else None
            for side in sides
        ]
        out.append([*(int(row[c]) for c in COLUMNS), name, *ends])
    return out


def windows_outcome(windows: Iterable[Window], interners: Interners) -> Outcome:
    """Return windows as values; their packets and skip reasons must add up."""
    out: Outcome = []
    for window in windows:
        numbers = {int(n) for n in window.messages["packet_no"]}
        skipped = {k: int(v) for k, v in sorted(window.skipped.items()) if v}
        if window.packets != len(numbers) + sum(skipped.values()):
            raise AssertionError(f"{window.packets} packets, {len(numbers)} read, {skipped}")
        unreachable = sorted((e.reason, e.client.hex(), n) for e, n in window.unreachable.items())
        out.append(
            [
                window.packets,
                skipped,
                unreachable,
                window.first_time,
                window.last_time,
                message_rows(window.messages, interners),
            ]
        )
    return out


def capture_outcome(capture: Capture, interners: Interners) -> Outcome:
    """Return all that is said of a capture, once it is read to its end."""
    windows = windows_outcome(capture.windows, interners)
    owners = sorted(
        (str(o.namespace), str(o.pod), str(o.container), str(o.container_id), o.sure)
        for o in interners.owners.values()
    )
    return [
        capture.format,
        capture.has_clock,
        list(capture.link_types),
        capture.snaplen,
        capture.bytes_read,
        capture.truncated_tail,
        capture.damage,
        sorted(capture.left_out.items()),
        capture.warnings,
        sorted((k.hex(), repr(v)) for k, v in capture.pods.items()),
        owners,
        windows,
    ]
