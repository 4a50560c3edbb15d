"""Random rows of messages: few clients, ports, names and numbers, so that they meet."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pcapkit.schema import ABSENT, MARK_MALFORMED, MARK_QUESTION_SHOWN, QR, Messages, new_messages

MS = 1_000_000
GAPS = (0, 1000, 4 * MS, 6 * MS, 400 * MS, 1100 * MS, 31_000 * MS)
NAMES = 3


@st.composite
def messages(draw: st.DrawFn) -> Messages:
    """Draw up to 40 messages in the order of their times, a packet each."""
    rows = new_messages(draw(st.integers(1, 40)))
    rows["packet_no"] = np.arange(1, rows.size + 1)
    for row in rows:
        response = draw(st.booleans())
        row["time"] = draw(st.sampled_from(GAPS))
        row["client"], row["client_port"] = draw(st.integers(0, 1)), draw(st.integers(40, 41))
        row["server"], row["link"] = draw(st.integers(8, 9)), draw(st.integers(0, 1))
        row["message_id"], row["transport"] = (
            draw(st.integers(1, 2)),
            draw(st.sampled_from([0, 0, 0, 1])),
        )
        row["qname"], row["qtype"] = draw(st.integers(0, NAMES - 1)), draw(st.sampled_from([1, 28]))
        row["ip_id"] = draw(st.sampled_from([ABSENT, 0, 7, 8]))
        row["hop_limit"] = draw(st.sampled_from([63, 64]))
        row["flags"] = QR if response else draw(st.sampled_from([0, 0, 0, 0x2000]))
        row["rcode"] = draw(st.sampled_from([0, 3])) if response else 0
        kind = draw(st.integers(0, 9))
        row["marks"] = 0 if response and kind < 4 else MARK_QUESTION_SHOWN
        if kind > 7:  # a question that does not decode, or none
            row["qname"], row["qtype"] = ABSENT, 0
            row["marks"] = MARK_MALFORMED if kind == 9 else 0
        facts = (int(row[k]) for k in ("message_id", "qname", "qtype", "flags", "rcode", "marks"))
        row["content"] = hash(tuple(facts)) & 0xFFFF_FFFF_FFFF
    rows["time"] = np.cumsum(rows["time"])
    return rows
