"""Containers that ptcpdump's comments on packets name: two at one address are two clients.

ptcpdump (github.com/mozillazg/ptcpdump) writes pcapng whose packets have comments of lines such as
``ContainerName: app`` and ``PodNamespace: shop``, of the process that sends or receives. It looks
for that process on the near side of the interface first (a packet that goes out: its sender), then
on the far side; epb_flags say which way a packet went. So what a comment says of a query that goes
out, or of a response that comes in, is about the client, unless nothing is known of it; of the
others, it may be about the server. ``pipeline/clients`` decides when all comments are known.

Comments of other tools have none of these lines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from pcapkit.addresses import packed_container
from pcapkit.ingest.capture.pcap import COMMENT, END_OF_OPTIONS
from pcapkit.ingest.window import Interners, Owner
from pcapkit.schema import ABSENT, MARK_OWNER_SURE, QR, Bytes, Messages, Rows

_FLAGS = 2  # epb_flags, whose lowest two bits are the direction
_INBOUND, _OUTBOUND = 1, 2
#: Bytes of options that are read at most, those of one packet: ptcpdump's process comments have
#: some 9 KB at most (its EXEC_ARGS_LEN twice) and stand first, then the container, then the pod.
_MOST_BYTES = 1 << 16
_MOST_CACHED = 1 << 8
#: A longer value is no name: of Kubernetes' names, and of domain names, 253 is the most.
_LONGEST_NAME = 255
_KEYS = {
    b"containername": "container",
    b"containerid": "container_id",
    b"podname": "pod",
    b"podnamespace": "namespace",
}


#: Labels of a pod's sandbox, by containerd's CRI plugin and by Docker's shim. Where ptcpdump knows
#: only the network of a process, it names a container there, be it this one.
_SANDBOX = (b'"io.cri-containerd.kind":"sandbox"', b'"io.kubernetes.docker.type":"podsandbox"')


class Named(NamedTuple):
    """What the comments of one packet name; None where they do not."""

    namespace: str | None = None
    pod: str | None = None
    container: str | None = None
    container_id: str | None = None


def _options(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield the options in ``data``; a value that goes on behind it as far as it is there."""
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(order + "HH", data, at)
        at += 4
        if code == END_OF_OPTIONS:
            return
        yield code, data[at : at + length]
        at += (length + 3) & ~3


def _is_sandbox(comment: bytes) -> bool:
    """Is it of the container that only holds a pod's network, and runs no program of its own?"""
    return any(
        line.startswith(b"ContainerLabels:") and any(label in line for label in _SANDBOX)
        for line in comment.split(b"\n")
    )


def _values(comment: bytes) -> Iterator[tuple[str, str]]:
    """Yield what the lines of a comment say of container and pod."""
    for line in comment.split(b"\n"):
        key, colon, value = line.partition(b":")
        name = _KEYS.get(key.strip().lower()) if colon and len(key) < _LONGEST_NAME else None
        value = value.strip(b" \t\r\0")
        if name is not None and 0 < len(value) <= _LONGEST_NAME:
            yield name, _printable(value.decode("utf-8", "backslashreplace"))


def _printable(text: str) -> str:
    """Return text in which characters that are not printed are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@lru_cache(maxsize=_MOST_CACHED)
def read_options(data: bytes, big: bool) -> tuple[Named, int]:
    """Return what the options of one packet name, and its direction, 0 where that is not said.

    The comment on the process ends with its arguments, which may hold any lines: where other
    comments begin with container or pod, they alone count.
    """
    direction = 0
    comments: list[bytes] = []
    for code, value in _options(data, ">" if big else "<"):
        if code == COMMENT:
            if not _is_sandbox(value):
                comments.append(value)
        elif code == _FLAGS and len(value) >= 4:
            (flags,) = struct.unpack_from(">I" if big else "<I", value)
            direction = flags & 3
    own = [c for c in comments if c.partition(b":")[0].strip().lower() in _KEYS]
    found = {name: value for comment in own or comments for name, value in _values(comment)}
    return Named(**found), direction


class CommentReader:
    """Gives messages the containers that comments on their packets name."""

    def __init__(self, interners: Interners) -> None:
        self._interners = interners
        self._known: dict[tuple[int, Named], int] = {}

    def own(self, rows: Messages, buffer: Bytes, records: Rows, options: Rows) -> None:
        """Set ``owner`` of messages whose packets have comments.

        ``rows`` are MESSAGE, of packets among ``records`` (RECORD) in ``buffer``, whose comments
        are in ``options`` (pcap.OPTIONS), both in the order of the packets.
        """
        if not rows.size or not records.size:
            return
        at = np.searchsorted(records["offset"], options["packet"])
        inside = at < records.size
        inside[inside] = records["offset"][at[inside]] == options["packet"][inside]
        options, numbers = options[inside], records["number"][at[inside]]
        if not numbers.size:
            return
        at = np.minimum(np.searchsorted(numbers, rows["packet_no"]), numbers.size - 1)
        index = np.flatnonzero(numbers[at] == rows["packet_no"])
        columns = (options[name][at[index]].tolist() for name in ("begin", "end", "big"))
        is_response = (rows["flags"][index] & QR != 0).tolist()
        clients = rows["client"][index].tolist()
        owners, marks = [], []
        for response, client, begin, end, big in zip(is_response, clients, *columns, strict=True):
            data = buffer[begin : min(end, begin + _MOST_BYTES)].tobytes()
            named, direction = read_options(data, bool(big))
            owner = self._owner(client, named)
            is_sure = owner >= 0 and direction == (_INBOUND if response else _OUTBOUND)
            if is_sure:
                self._interners.owners[owner].sure = True
            owners.append(owner)
            marks.append(MARK_OWNER_SURE if is_sure else 0)
        rows["owner"][index] = owners
        rows["marks"][index] |= np.array(marks, np.uint8)

    def _owner(self, client: int, named: Named) -> int:
        """Return the id of a container at an address, which is among the addresses; ABSENT."""
        if (known := self._known.get((client, named))) is not None:
            return known
        interners, number = self._interners, ABSENT
        if any((named.pod, named.container, named.container_id)):
            of_container = packed_container(interners.addresses[client], named)
            number = interners.addresses.add(of_container)
            interners.owners.setdefault(number, Owner(client, *named))
        self._known[client, named] = number
        return number
