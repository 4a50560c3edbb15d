"""Lookups and transactions of all clients in the order in which they began, piece by piece.

Clients are read part by part, while tables are in the order of time over all of them. So what a
table shows of each part is written to a run of rows, and the runs are merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pcapkit.analysis.lookups.reading import ClientReading, Readings
from pcapkit.names.table import Folded
from pcapkit.schema import Ids, Integers, Lookups, Rows, take_rows
from pcapkit.spool import Runs, Spool

#: Rows of a table that are made at once.
PIECE = 1 << 15
_KEY = [("time", np.int64), ("tie", np.int32), ("run", np.int32), ("number", np.int32)]
_LOOKUP = np.dtype(
    [
        *_KEY,  # of its first query; its client's address; its part; its number there
        ("end", np.int64),
        ("wasted_ns", np.int64),
        ("packet", np.int64),
        ("first", np.int64),  # its first candidate's first transaction
        ("capture", np.int32),
        ("client", np.int32),  # index of the client's reading
        ("base", np.int32),
        ("answered_by", np.int32),
        ("queries", np.int32),
        ("retries", np.int32),
        ("nxdomain", np.int32),
        ("wasted", np.int32),
        ("walk_of", np.int32),
        ("outcome", np.uint8),
        ("ambiguous", np.uint8),
        ("absolute", np.int8),
        ("complete", np.uint8),
        ("denied", np.uint8),
    ],
    align=True,
)
_TRANSACTION = np.dtype(
    [
        *_KEY[:3],  # of its query; 0; its part
        ("lookup", np.int32),  # number in its part
        ("asked", np.int64),  # when the query went out that got the response
        ("response_time", np.int64),
        ("query_packet", np.int64),
        ("response_packet", np.int64),
        ("capture", np.int32),
        ("client", np.int32),  # index of the client's reading
        ("server", np.int32),
        ("qname", np.int32),
        ("qtype", np.int32),
        ("suffix", np.int32),
        ("retries", np.int32),
        ("min_ttl", np.int32),
        ("client_port", np.uint16),
        ("rcode", np.uint16),
        ("answers", np.uint16),
        ("transport", np.uint8),
        ("aa", np.uint8),
        ("outcome", np.uint8),
        ("waste_class", np.uint8),
        ("done", np.uint8),  # it has a response
        ("repeated", np.uint8),
    ],
    align=True,
)
_MEMBER = np.dtype([("name", np.int32), ("qtype", np.int32)])


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows of a table: lookups, or transactions; ``first_id`` is the id of the first one.

    Of lookups, ``members`` are the name and type of every transaction, and a row's ``first`` is
    the number of its first one among them. Ids of other lookups are those of the whole table.
    """

    rows: Rows
    members: Rows
    clients: tuple[ClientReading, ...]
    names: Folded
    labels: Ids
    has_clock: bool
    first_id: int


class Listing:
    """Takes the parts of one reading, in their order, for one table."""

    def __init__(self, table: str, names: Folded, *, has_clock: bool) -> None:
        self._lists_lookups = table == "lookups"
        self._names, self._has_clock = names, has_clock
        self._runs = Runs(_LOOKUP if self._lists_lookups else _TRANSACTION)
        self._keys, self._members = Runs(_KEY), Spool(_MEMBER)
        self._begins = [0]  # of the lookups of each part
        self._clients: list[ClientReading] = []

    def add(self, part: Readings) -> None:
        """Take the next part."""
        run, lookups = len(self._begins) - 1, part.lookups
        address = np.array([c.client for c in part.clients], np.int32)[lookups["client"]]
        order = np.lexsort((address, lookups["start"]))
        keys = np.zeros(lookups.size, _KEY)
        keys["time"], keys["tie"] = lookups["start"][order], address[order]
        keys["run"], keys["number"] = run, order
        if self._lists_lookups:
            self._runs.add(self._lookup_rows(part, take_rows(lookups, order), keys))
        else:
            self._runs.add(self._transaction_rows(part, run))
        self._keys.add(keys)
        self._begins.append(self._begins[-1] + lookups.size)
        self._clients += part.clients

    def _lookup_rows(self, part: Readings, lookups: Lookups, keys: Rows) -> Rows:
        first = part.rows[lookups["exchange"]]
        rows = _shared(lookups, np.zeros(lookups.size, _LOOKUP))
        for field, _ in _KEY:
            rows[field] = keys[field]
        rows["client"] += len(self._clients)
        rows["capture"], rows["packet"] = first["capture"], first["query_packet"]
        # Transactions stand behind one another within a lookup, but lookups were put in order.
        counts = lookups["queries"].astype(np.int64)
        ends = np.cumsum(counts)
        at = np.arange(counts.sum()) + np.repeat(lookups["first"] - ends + counts, counts)
        rows["first"] = self._members.size + ends - counts
        self._members.add(_shared(part.transactions[at], np.zeros(at.size, _MEMBER)))
        return rows

    def _transaction_rows(self, part: Readings, run: int) -> Rows:
        t = part.transactions
        t = t[np.lexsort((t["first"], t["time"]))]
        query, done = part.rows[t["first"]], t["response"] >= 0
        response = part.rows[np.maximum(t["response"], 0)]
        rows = np.zeros(t.size, _TRANSACTION)
        for field in ("capture", "server", "qname", "query_packet", "client_port", "transport"):
            rows[field] = query[field]
        for field in ("response_time", "response_packet", "min_ttl", "rcode", "answers", "aa"):
            rows[field] = response[field]
        for field in ("time", "lookup", "qtype", "suffix", "retries", "outcome", "waste_class"):
            rows[field] = t[field]
        rows["asked"], rows["run"], rows["done"] = response["query_time"], run, done
        rows["client"] = part.lookups["client"][t["lookup"]]
        if self._has_clock:
            rows["repeated"] = _repeated(rows, t["name"]) & (rows["qname"] >= 0)
        rows["client"] += len(self._clients)
        return rows

    def pieces(self, size: int | None = PIECE) -> Iterator[Listed]:
        """Yield the rows in order; once, and empty, where there are none. None: all at once."""
        begins = np.array(self._begins, np.int64)
        ids = np.empty(self._keys.size, np.int32)
        at = 0
        for keys in self._keys.merged(size):
            ids[begins[keys["run"]] + keys["number"]] = np.arange(at, at + keys.size)
            at += keys.size
        at = 0
        for rows in self._runs.merged(size):
            yield self._listed(rows, begins[rows["run"]], ids, at)
            at += rows.size
        if not at:
            nothing = np.zeros(0, _LOOKUP if self._lists_lookups else _TRANSACTION)
            yield self._listed(nothing, begins[:0], ids, 0)

    def _listed(self, rows: Rows, begins: Integers, ids: Ids, at: int) -> Listed:
        members = np.zeros(0, _MEMBER)
        if self._lists_lookups:
            again = rows["walk_of"] >= 0
            rows["walk_of"][again] = ids[begins[again] + rows["walk_of"][again]]
            members = self._members_of(rows)
        else:
            rows["lookup"] = ids[begins + rows["lookup"]]
        return Listed(
            rows,
            members,
            tuple(self._clients),
            self._names,
            self._names.label_counts(),
            self._has_clock,
            at,
        )

    def _members_of(self, rows: Rows) -> Rows:
        """Read the transactions of some lookups, and let the rows point to them."""
        out = [np.zeros(0, _MEMBER)]
        at = 0
        for run in np.unique(rows["run"]):
            mine = np.flatnonzero(rows["run"] == run)
            begin, last = int(rows["first"][mine[0]]), rows[mine[-1]]
            # A run's lookups are in order, and so are their transactions.
            out.append(self._members.read(begin, int(last["first"]) + int(last["queries"])))
            rows["first"][mine] += at - begin
            at += out[-1].size
        return np.concatenate(out)


def _shared(source: Rows, into: Rows) -> Rows:
    """Copy the fields that both dtypes have."""
    for field in set(source.dtype.names or ()) & set(into.dtype.names or ()):
        into[field] = source[field]
    return into


def _repeated(rows: Rows, names: Ids) -> npt.NDArray[np.bool_]:
    """Mark questions asked again by a client while the last answer's TTL still ran."""
    fresh_until: dict[tuple[int, int, int], int] = {}
    out = []
    fields = ("client", "qtype", "time", "response_time", "min_ttl", "done")
    values = (rows[f].tolist() for f in fields)
    for name, client, qtype, time, end, ttl, known in zip(names.tolist(), *values, strict=True):
        question = client, name, qtype
        out.append(time < fresh_until.get(question, time))
        if known and ttl >= 0:
            fresh_until[question] = end + ttl * 1_000_000_000
    return np.array(out, np.bool_)
