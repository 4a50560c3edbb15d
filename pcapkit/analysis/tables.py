"""The row tables as pandas frames, with the columns that callers rely on.

Times are ``datetime64[ns, UTC]``, NaT without a clock; durations float seconds; absent is null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pcapkit.analysis.reading import Lookup, Transaction, join
from pcapkit.analysis.tally import kind_of, wasted_ns
from pcapkit.codes import opcode_text, qclass_text, qtype_text, rcode_text
from pcapkit.layout import AA, MARK_QUESTION_SHOWN, QR, RA, RD, TC, TCP
from pcapkit.model import TRANSACTION_OUTCOMES

Address = Callable[[int], str]


def _times(values: Sequence[int], *, has_clock: bool) -> Any:
    if not has_clock:
        return pd.to_datetime(pd.Series([None] * len(values), dtype="object"), utc=True)
    return pd.to_datetime(pd.Series(np.asarray(values, np.int64)), unit="ns", utc=True)


def _frame(columns: dict[str, list[Any]], nullable_ints: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(columns)
    for column in nullable_ints:
        frame[column] = frame[column].astype("Int64")
    return frame


def lookups_table(
    lookups: list[Lookup], rows: Any, path_of: Sequence[str], address: Address,
    zones: Sequence[tuple[str, ...]], *, has_clock: bool,
) -> pd.DataFrame:  # fmt: skip
    """One row per lookup, in the order of their first queries."""
    keys = (
        "capture lookup_id client_addr base_name absolute ambiguous kind qtypes first_packet_no"
        " start_time end_time duration_s wasted_s candidates queries retries nxdomain"
        " wasted_queries outcome answered_by answered_suffix complete walk_of"
    ).split()
    columns: dict[str, list[Any]] = {key: [] for key in keys}
    for x in lookups:
        first = min((t.first for t in x.transactions), key=lambda e: (e.time, e.number))
        values = (
            path_of[int(rows["capture"][first.number])], x.number, address(x.client),
            join(x.base), x.absolute, x.ambiguous, kind_of(x, zones),
            sorted({qtype_text(t.qtype) for t in x.transactions}),
            int(rows["query_packet"][first.number]), x.start, x.end,
            (x.end - x.start) / 1e9 if has_clock else None,
            wasted_ns(x) / 1e9 if has_clock else None,
            [join(c) for c in x.candidates if any(t.candidate == c for t in x.transactions)],
            len(x.transactions), sum(len(t.exchanges) - 1 for t in x.transactions),
            sum(TRANSACTION_OUTCOMES[t.outcome] == "nxdomain" for t in x.transactions),
            x.wasted, x.outcome, None if x.answered_by is None else join(x.answered_by),
            None if x.answered_suffix is None else join(x.answered_suffix), x.complete,
            None if x.walk_of is None else x.walk_of.number,
        )  # fmt: skip
        for key, value in zip(keys, values, strict=True):
            columns[key].append(value)
    frame = _frame(columns, ("walk_of",))
    for key in ("start_time", "end_time"):
        frame[key] = _times(columns[key], has_clock=has_clock)
    return frame


def _transaction_values(
    x: Lookup, t: Transaction, rows: Any, path_of: Sequence[str], address: Address,
    name: Callable[[int], str],
) -> tuple[Any, ...]:  # fmt: skip
    first, response = t.first, t.response
    query = rows[first.number]
    answer = rows[response.number] if response else None
    return (
        path_of[int(query["capture"])], x.number, int(query["query_packet"]),
        None if answer is None else int(answer["response_packet"]),
        first.time, None if response is None else response.done,
        None if response is None else (response.done - response.time) / 1e9,
        len(t.exchanges) - 1, "tcp" if query["transport"] == TCP else "udp", address(x.client),
        int(query["client_port"]), address(int(query["server"])), name(int(query["qname"])),
        qtype_text(t.qtype), TRANSACTION_OUTCOMES[t.outcome],
        None if answer is None else rcode_text(int(answer["rcode"])),
        None if answer is None else bool(answer["aa"]),
        None if answer is None else int(answer["answers"]),
        None if answer is None or answer["min_ttl"] < 0 else int(answer["min_ttl"]),
        t.waste_class, join(t.suffix) if t.suffix else None,
        None if answer is None or TRANSACTION_OUTCOMES[t.outcome] not in ("nxdomain", "nodata")
        else not answer["aa"],
    )  # fmt: skip


def transactions_table(
    lookups: list[Lookup], rows: Any, path_of: Sequence[str], address: Address,
    name: Callable[[int], str], *, has_clock: bool,
) -> pd.DataFrame:  # fmt: skip
    """One row per transaction, lookup by lookup, with ``repeated`` and ``forwarded`` marks."""
    keys = (
        "capture lookup_id query_packet_no response_packet_no query_time response_time rtt_s"
        " retries transport client_addr client_port server_addr qname qtype outcome rcode aa"
        " answers min_ttl waste_class suffix forwarded"
    ).split()
    columns: dict[str, list[Any]] = {key: [] for key in keys}
    fresh_until: dict[tuple[int, int, int], int] = {}
    repeated: list[bool] = []
    pairs = [(t.first.time, t.first.number, x, t) for x in lookups for t in x.transactions]
    for time, _, x, t in sorted(pairs, key=lambda p: p[:2]):
        values = _transaction_values(x, t, rows, path_of, address, name)
        for key, value in zip(keys, values, strict=True):
            columns[key].append(value)
        question = (x.client, t.first.name, t.qtype)
        repeated.append(time < fresh_until.get(question, -(1 << 62)))
        ttl, response = values[18], t.response
        if ttl is not None and response is not None:
            fresh_until[question] = response.done + ttl * 1_000_000_000
    ends = [-1 if v is None else v for v in columns["response_time"]]
    frame = _frame(columns, ("response_packet_no", "answers", "min_ttl"))
    frame["query_time"] = _times(columns["query_time"], has_clock=has_clock)
    times = _times(ends, has_clock=has_clock)
    frame["response_time"] = times.where(pd.Series([e >= 0 for e in ends]))
    if not has_clock:
        frame["rtt_s"] = None
    frame.insert(1, "transaction_id", range(len(frame)))
    frame.insert(len(frame.columns) - 1, "repeated", repeated if has_clock else None)
    return frame


def messages_table(
    parts: Sequence[tuple[int, Any, Any]], path_of: Sequence[str], address: Address,
    name: Callable[[int], str], *, has_clock: bool,
) -> pd.DataFrame:  # fmt: skip
    """One row per message, duplicates among them, in capture order."""
    rows = np.concatenate([p[1] for p in parts])
    capture = np.concatenate([np.full(p[1].size, p[0]) for p in parts])
    original = np.concatenate([p[2] for p in parts])
    flags = rows["flags"].astype(np.int64)
    response = (flags & QR) != 0
    shown = (rows["marks"] & MARK_QUESTION_SHOWN) != 0

    def each(values: Any, function: Callable[[int], Any]) -> list[Any]:
        known = {int(v): function(int(v)) for v in np.unique(values)}
        return [known[v] for v in values.tolist()]

    def null(values: Any, present: Any) -> list[Any]:
        return [v if p else None for v, p in zip(values, present.tolist(), strict=True)]

    ports = rows["client_port"], rows["server_port"]
    frame = pd.DataFrame(
        {
            "capture": each(capture, lambda i: path_of[i]),
            "packet_no": rows["packet_no"],
            "message_no": rows["message_no"],
            "time": _times(rows["time"], has_clock=has_clock),
            "interface": rows["interface"],
            "transport": each(rows["transport"], lambda t: "tcp" if t == TCP else "udp"),
            "client_addr": each(rows["client"], address),
            "client_port": ports[0],
            "server_addr": each(rows["server"], address),
            "server_port": ports[1],
            "message_id": rows["message_id"],
            "is_response": response,
            "opcode": each((flags >> 11) & 15, opcode_text),
            "rcode": null(each(rows["rcode"], rcode_text), response),
            "aa": (flags & AA) != 0,
            "tc": (flags & TC) != 0,
            "rd": (flags & RD) != 0,
            "ra": (flags & RA) != 0,
            "qname": null(each(rows["qname"], lambda n: name(n) if n >= 0 else None),
                          rows["qname"] >= 0),
            "qtype": null(each(rows["qtype"], qtype_text), shown),
            "qclass": null(each(rows["qclass"], qclass_text), shown),
            "answers": null(rows["answers"].tolist(), response),
            "min_ttl": null(rows["min_ttl"].tolist(), rows["min_ttl"] >= 0),
            "edns_bytes": null(rows["edns_bytes"].tolist(), rows["edns_bytes"] >= 0),
            "message_bytes": rows["message_bytes"],
            "duplicate_of": null(original.tolist(), original > 0),
        }
    )  # fmt: skip
    for column in ("answers", "min_ttl", "edns_bytes", "duplicate_of"):
        frame[column] = frame[column].astype("Int64")
    return frame
