"""Random rows of messages: few clients, ports, names and numbers, so that they meet."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pcapkit.schema import ABSENT, MARK_MALFORMED, MARK_QUESTION_SHOWN, QR, Messages, new_messages

MS = 1_000_000
GAPS = (0, 1000, 4 * MS, 6 * MS, 400 * MS, 1100 * MS, 31_000 * MS)
NAMES = 3
#: Client, port, message ID, name, type, and what is odd about it.
_KINDS = st.tuples(
    *(st.integers(0, 1), st.integers(40, 41), st.integers(1, 2), st.integers(0, NAMES - 1)),
    st.sampled_from([1, 28]),
    st.sampled_from([0, 0, 0, 0, 0, 1, 2, 3, 4]),
)
_RARELY, _HOPS = st.sampled_from([0, 0, 0, 1]), st.sampled_from([63, 64])


@st.composite
def messages(draw: st.DrawFn) -> Messages:
    """Draw up to 40 messages in the order of their times, a packet each."""
    rows = new_messages(draw(st.integers(1, 40)))
    rows["packet_no"] = np.arange(1, rows.size + 1)
    kinds = draw(st.lists(_KINDS, min_size=1, max_size=3))
    for row in rows:
        client, port, ident, qname, qtype, hides = draw(st.sampled_from(kinds))
        response = draw(st.booleans())
        row["client"], row["client_port"], row["message_id"] = client, port, ident
        row["qname"], row["qtype"] = qname, qtype
        row["flags"] = QR if response else 0x2000 if hides == 1 else 0
        row["marks"] = 0 if response and hides == 2 else MARK_QUESTION_SHOWN
        if hides > 2:  # a question that does not decode, or none
            row["qname"], row["qtype"] = ABSENT, 0
            row["marks"] = MARK_MALFORMED if hides == 3 else 0
        facts = (int(row[k]) for k in ("message_id", "qname", "qtype", "flags", "marks"))
        row["content"] = hash(tuple(facts)) & 0xFFFF_FFFF_FFFF
        row["time"], row["transport"] = draw(st.sampled_from(GAPS)), draw(_RARELY)
        row["server"], row["link"], row["hop_limit"] = 8 + draw(_RARELY), draw(_RARELY), draw(_HOPS)
        row["message_no"] = draw(_RARELY)
        row["ip_id"] = draw(st.sampled_from([ABSENT, 0, 0, 7, 8]))
    rows["time"] = np.cumsum(rows["time"])
    return rows
