"""The row tables as pandas frames, with the columns that callers rely on.

Times are ``datetime64[ns, UTC]``, NaT without a clock; durations float seconds; absent is null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from pcapkit.analysis.summary.name_kinds import kinds_of
from pcapkit.analysis.tables.listing import Listed
from pcapkit.codes import NODATA, NXDOMAIN, opcode_text, qclass_text, qtype_text, rcode_text
from pcapkit.model.vocabulary import LOOKUP_OUTCOMES, TRANSACTION_OUTCOMES, WASTE_CLASSES
from pcapkit.names.labels import Labels, join
from pcapkit.schema import (
    AA,
    AA_HIDDEN,
    MARK_FLAGS_HIDDEN,
    MARK_ID_HIDDEN,
    MARK_QUESTION_SHOWN,
    QR,
    RA,
    RD,
    TC,
    TCP,
    Array,
    Integers,
    Messages,
)

Address = Callable[[int], str]
Who = Callable[[int], tuple[str, str | None]]  #: address and container of a client
Cell = TypeVar("Cell")
Flags = npt.NDArray[np.bool_]


def _times(values: Integers, *, has_clock: bool) -> pd.Series[pd.Timestamp]:
    if not has_clock:
        return pd.to_datetime(pd.Series([None] * len(values), dtype="object"), utc=True)
    return pd.to_datetime(pd.Series(np.asarray(values, np.int64)), unit="ns", utc=True)


def _each(values: Array, function: Callable[[int], Cell]) -> list[Cell]:
    """Map integers, calling the function once for each distinct one."""
    known = {v: function(v) for v in np.unique(values).tolist()}
    return [known[v] for v in values.tolist()]


def _null(values: Sequence[Cell], present: Flags) -> list[Cell | None]:
    return [v if p else None for v, p in zip(values, present.tolist(), strict=True)]


def _optional(values: Array, present: Flags) -> pd.arrays.IntegerArray:
    """Return integers that are null where they are not present."""
    return pd.arrays.IntegerArray(np.asarray(values, np.int64), ~np.asarray(present, np.bool_))


def _seconds(values: Integers, *, has_clock: bool) -> Array | list[None]:
    return values / 1e9 if has_clock else [None] * len(values)


def _clients(values: Array, r: Listed, who: Who) -> tuple[list[str], list[str | None]]:
    """Return the addresses of clients, and their containers."""
    found = _each(values, lambda i: who(r.clients[i].client))
    return [address for address, _ in found], [container for _, container in found]


def lookups_table(
    r: Listed, path_of: Sequence[str], who: Who, zones: Sequence[Labels]
) -> pd.DataFrame:
    """One row per lookup, in the order of their first queries."""
    x, clock = r.rows, r.has_clock
    text: dict[int, str] = {}

    def name(number: int) -> str:
        if number not in text:
            text[number] = join(r.names.labels(number))
        return text[number]

    base, hit = x["base"].tolist(), x["answered_by"].tolist()
    candidates, types = _members(r, name)
    clients, containers = _clients(x["client"], r, who)
    suffixes = []
    for b, h in zip(base, hit, strict=True):
        longer = h >= 0 and r.labels[h] > r.labels[b]
        suffixes.append(join(r.names.labels(h)[int(r.labels[b]) :]) if longer else None)
    return pd.DataFrame(
        {
            "capture": _each(x["capture"], lambda i: path_of[i]),
            "lookup_id": np.arange(r.first_id, r.first_id + x.size),
            "client_addr": clients,
            "base_name": [name(b) for b in base],
            "absolute": _null(
                [a > 0 for a in x["absolute"].tolist()],
                (x["absolute"] >= 0) & (x["base"] != r.names.unknown),
            ),
            "ambiguous": (x["ambiguous"] != 0) | (x["base"] == r.names.unknown),
            "kind": kinds_of(
                r.names, x["base"], x["answered_by"], x["outcome"], x["denied"], zones
            ),
            "qtypes": types,
            "first_packet_no": x["packet"],
            "start_time": _times(x["time"], has_clock=clock),
            "end_time": _times(x["end"], has_clock=clock),
            "duration_s": _seconds(x["end"] - x["time"], has_clock=clock),
            "wasted_s": _seconds(x["wasted_ns"], has_clock=clock),
            "candidates": candidates,
            "queries": x["queries"],
            "retries": x["retries"],
            "nxdomain": x["nxdomain"],
            "wasted_queries": x["wasted"],
            "outcome": [LOOKUP_OUTCOMES[o] for o in x["outcome"].tolist()],
            "answered_by": [name(h) if h >= 0 else None for h in hit],
            "answered_suffix": suffixes,
            "complete": x["complete"] != 0,
            "walk_of": _optional(x["walk_of"], x["walk_of"] >= 0),
            "container": containers,
        }
    )


def _members(r: Listed, name: Callable[[int], str]) -> tuple[list[list[str]], list[list[str]]]:
    """Return each lookup's candidates, in the order sent, and its query types."""
    candidates: list[list[str]] = []
    types: list[list[str]] = []
    names = r.members["name"].tolist()
    kinds = _null(_each(r.members["qtype"], qtype_text), r.members["qtype"] > 0)
    firsts, counts = r.rows["first"].tolist(), r.rows["queries"].tolist()
    for at, count in zip(firsts, counts, strict=True):
        candidates.append([name(n) for n in dict.fromkeys(names[at : at + count])])
        types.append(sorted({k for k in kinds[at : at + count] if k is not None}))
    return candidates, types


def transactions_table(
    r: Listed, path_of: Sequence[str], who: Who, address: Address, name: Callable[[int], str]
) -> pd.DataFrame:
    """One row per transaction, in the order of their queries."""
    t, clock = r.rows, r.has_clock
    done = t["done"] != 0
    miss = done & np.isin(t["outcome"], (NODATA, NXDOMAIN))
    flags_shown = t["aa"] != AA_HIDDEN
    suffix_of: dict[tuple[int, int], str] = {}
    keys = list(zip(t["client"].tolist(), t["suffix"].tolist(), strict=True))
    for client, position in set(keys):
        if position >= 0:
            suffix_of[client, position] = join(r.clients[client].search.suffixes[position])
    # The exchange with the response may be another than the first, and its own query's time counts.
    clients, containers = _clients(t["client"], r, who)
    rtt = np.where(done, t["response_time"] - t["asked"], 0) / 1e9
    return pd.DataFrame(
        {
            "capture": _each(t["capture"], lambda i: path_of[i]),
            "transaction_id": np.arange(r.first_id, r.first_id + t.size),
            "lookup_id": t["lookup"],
            "query_packet_no": t["query_packet"],
            "response_packet_no": _optional(t["response_packet"], done),
            "query_time": _times(t["time"], has_clock=clock),
            "response_time": _times(np.where(done, t["response_time"], 0), has_clock=clock).where(
                pd.Series(done)
            ),
            "rtt_s": _null(rtt.tolist(), done & clock & (rtt >= 0)),
            "retries": t["retries"],
            "transport": ["tcp" if v == TCP else "udp" for v in t["transport"].tolist()],
            "client_addr": clients,
            "client_port": t["client_port"],
            "server_addr": _each(t["server"], lambda n: address(n) if n >= 0 else None),
            "qname": _null(
                _each(t["qname"], lambda n: name(n) if n >= 0 else None), t["qname"] >= 0
            ),
            "qtype": _null(_each(t["qtype"], qtype_text), t["qtype"] > 0),
            "outcome": [TRANSACTION_OUTCOMES[o] for o in t["outcome"].tolist()],
            "rcode": _null(_each(t["rcode"], rcode_text), done),
            "aa": _null([a > 0 for a in t["aa"].tolist()], done & flags_shown),
            "answers": _optional(t["answers"], done),
            "min_ttl": _optional(t["min_ttl"], done & (t["min_ttl"] >= 0)),
            "waste_class": [WASTE_CLASSES[c] for c in t["waste_class"].tolist()],
            "suffix": [suffix_of.get(k) for k in keys],
            "repeated": t["repeated"] != 0 if clock else None,
            "forwarded": _null([a == 0 for a in t["aa"].tolist()], miss & flags_shown),
            "container": containers,
        }
    )


def messages_table(
    parts: Sequence[tuple[int, Messages, Integers]],
    path_of: Sequence[str],
    address: Address,
    name: Callable[[int], str],
    *,
    has_clock: bool,
) -> pd.DataFrame:
    """One row per message, duplicates among them, in capture order."""
    rows = np.concatenate([p[1] for p in parts])
    capture = np.concatenate([np.full(p[1].size, p[0]) for p in parts])
    original = np.concatenate([p[2] for p in parts])
    flags = rows["flags"].astype(np.int64)
    response = (flags & QR) != 0
    shown = (rows["marks"] & MARK_QUESTION_SHOWN) != 0
    flags_shown = (rows["marks"] & MARK_FLAGS_HIDDEN) == 0

    ports = rows["client_port"], rows["server_port"]
    frame = pd.DataFrame(
        {
            "capture": _each(capture, lambda i: path_of[i]),
            "packet_no": rows["packet_no"],
            "message_no": rows["message_no"],
            "time": _times(rows["time"], has_clock=has_clock),
            "interface": rows["interface"],
            "transport": _each(rows["transport"], lambda t: "tcp" if t == TCP else "udp"),
            "client_addr": _each(rows["client"], address),
            "client_port": ports[0],
            "server_addr": _each(rows["server"], lambda n: address(n) if n >= 0 else None),
            "server_port": _optional(ports[1], ports[1] > 0),
            "message_id": _optional(rows["message_id"], (rows["marks"] & MARK_ID_HIDDEN) == 0),
            "is_response": response,
            "opcode": _each((flags >> 11) & 15, opcode_text),
            "rcode": _null(_each(rows["rcode"], rcode_text), response),
            "aa": _null(((flags & AA) != 0).tolist(), flags_shown),
            "tc": _null(((flags & TC) != 0).tolist(), flags_shown),
            "rd": _null(((flags & RD) != 0).tolist(), flags_shown),
            "ra": _null(((flags & RA) != 0).tolist(), flags_shown),
            "qname": _null(
                _each(rows["qname"], lambda n: name(n) if n >= 0 else None), rows["qname"] >= 0
            ),
            "qtype": _null(_each(rows["qtype"], qtype_text), shown),
            "qclass": _null(_each(rows["qclass"], qclass_text), shown),
            "answers": _null(rows["answers"].tolist(), response),
            "min_ttl": _null(rows["min_ttl"].tolist(), rows["min_ttl"] >= 0),
            "edns_bytes": _null(rows["edns_bytes"].tolist(), rows["edns_bytes"] >= 0),
            "message_bytes": _optional(rows["message_bytes"], rows["message_bytes"] > 0),
            "duplicate_of": _null(original.tolist(), original > 0),
        }
    )
    for column in ("answers", "min_ttl", "edns_bytes", "duplicate_of"):
        frame[column] = frame[column].astype("Int64")
    return frame
