"""Queries that a forwarder on the host passes on: the same question on its next hop.

A program asks its host at a loopback address (dnsmasq, systemd-resolved, a sidecar); the forwarder
there asks its own nameserver, and both are in one capture of all interfaces. A lookup is what the
program asked: the next hop's queries are told apart, and its lookups counted once, at the client.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from pcapkit.addresses import ip_or_none
from pcapkit.kernels.interning import Interner
from pcapkit.schema import QR, Ids, Messages

#: What a forwarder passes on follows its question, and comes before its answer. After this time a
#: stub resolver may ask another nameserver by itself: glibc, musl and Go wait 5 s (resolv.conf(5)).
_PASSED_ON_NS = 4_000_000_000
#: A response later than this belongs to no query that was passed on.
_ANSWERED_NS = 60_000_000_000
#: Questions and queries that are remembered; the oldest are forgotten first.
_MOST = 1 << 16
#: One query, as its response repeats it: client, its port, ID.
_Query = tuple[int, int, int]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Asked(NamedTuple):
    """A question to the host itself that is not answered yet."""

    time: int
    query: _Query
    server: int


class HopFilter:
    """Finds what is passed on, window by window; ``hops`` counts it by the ids of both servers."""

    def __init__(self) -> None:
        self.hops: Counter[tuple[int, int]] = Counter()
        self._known = 0
        self._loopback: set[int] = set()
        self._asked: dict[tuple[int, int], _Asked] = {}  # by folded name and type
        self._questions: dict[_Query, tuple[int, int]] = {}  # of those
        self._passed: dict[tuple[int, _Query], int] = {}  # by server and query: the time

    def mark(
        self, rows: Messages, original: npt.NDArray[np.int64], folded: Ids, addresses: Interner
    ) -> npt.NDArray[np.int64]:
        """Return ``original``, with the own number of each packet that is passed on.

        ``rows`` (MESSAGE) are those of the next window, ``original`` is not 0 where one is a
        duplicate, ``folded`` is the id in lower case of every name, ``addresses`` are all by id.
        """
        for number in range(self._known, len(addresses)):
            ip = ip_or_none(addresses[number])
            if ip is not None and ip.is_loopback:
                self._loopback.add(number)
        self._known = len(addresses)
        if not self._loopback:
            return original
        out = original.copy()
        fields = (
            "time",
            "client",
            "client_port",
            "message_id",
            "server",
            "qname",
            "qtype",
            "flags",
        )
        columns = [rows[field].tolist() for field in fields]
        for i, (time, client, port, ident, server, name, qtype, flags) in enumerate(
            zip(*columns, strict=True)
        ):
            if original[i]:
                continue
            query = client, port, ident
            if flags & QR:
                if self._is_answer(server, query, time):
                    out[i] = rows["packet_no"][i]
            elif name >= 0 and self._is_passed_on(
                _Asked(time, query, server), (int(folded[name]), qtype)
            ):
                out[i] = rows["packet_no"][i]
        return out

    def _is_passed_on(self, asked: _Asked, question: tuple[int, int]) -> bool:
        """Is this query what a forwarder passes on? If not, and it asks the host, remember it."""
        first = self._asked.get(question)
        if first is not None and first.query != asked.query and first.server != asked.server:
            if 0 <= asked.time - first.time <= _PASSED_ON_NS:
                self.hops[first.server, asked.server] += 1
                _keep(self._passed, (asked.server, asked.query), asked.time)
                return True
        if asked.server in self._loopback:
            _keep(self._asked, question, asked)
            _keep(self._questions, asked.query, question)
        return False

    def _is_answer(self, server: int, query: _Query, time: int) -> bool:
        """Is this the response to a query that was passed on? If not, it may end a question."""
        passed = self._passed.pop((server, query), None)
        if passed is not None:
            return time - passed <= _ANSWERED_NS
        question = self._questions.pop(query, None)
        if question is not None and question in self._asked:
            if self._asked[question].query == query:
                del self._asked[question]
        return False


def _keep(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Put a value last, and forget the first where there are too many."""
    known.pop(key, None)
    known[key] = value
    if len(known) > _MOST:
        del known[next(iter(known))]
