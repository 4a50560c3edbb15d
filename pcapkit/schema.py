"""The fixed-width rows in which messages travel from the readers to pairing.

One row is one DNS message. Names, addresses and link addresses are ids of the interners in
``kernels/interning.py``; everything else is a plain integer. A row is filled by the compiled path
(pcap, pcapng) or by the reader of another source, and means the same either way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

LOOKUP = np.dtype(
    [
        ("start", np.int64),  # time of the first query
        ("end", np.int64),  # of the last response, or of the last query where that came later
        ("wasted_ns", np.int64),  # from the first query to the first of the candidate that answered
        ("client", np.int32),  # index of the client's reading
        ("base", np.int32),  # name id
        ("answered_by", np.int32),  # name id, -1
        ("first", np.int32),  # its first transaction
        ("queries", np.int32),  # transactions, which stand behind one another
        ("candidates", np.int32),
        ("retries", np.int32),
        ("nxdomain", np.int32),
        ("wasted", np.int32),
        ("exchange", np.int32),  # its first exchange
        ("walk_of", np.int32),  # -1
        ("shape", np.uint64),  # hash of what was asked and how it ended, candidate by candidate
        ("outcome", np.uint8),
        ("mode", np.uint8),
        ("ambiguous", np.uint8),
        ("absolute", np.int8),  # -1: not known
        ("complete", np.uint8),
        ("large", np.uint8),  # some response had TC, or more than 512 bytes
        ("parallel", np.uint8),
        ("holes", np.uint8),  # a log lacks queries that it must have sent
        ("crowded", np.uint8),  # further types of a name began another lookup: there were too many
        ("denied", np.uint8),  # the name as is does not exist: it was asked, and got NXDOMAIN
    ],
    align=True,
)

TRANSACTION = np.dtype(
    [
        ("time", np.int64),
        ("lookup", np.int32),
        ("name", np.int32),  # of the candidate, folded
        ("suffix", np.int32),  # index in the client's search list, -1 as is
        ("qtype", np.int32),
        ("first", np.int32),  # exchange
        ("response", np.int32),  # exchange with the response that counts, -1
        ("retries", np.int32),
        ("outcome", np.uint8),
        ("waste_class", np.uint8),
    ],
    align=True,
)

EXCHANGE = np.dtype(
    [
        ("query_time", np.int64),  # of a response without a query: its own time
        ("response_time", np.int64),  # NO_TIME: unanswered
        ("query_packet", np.int64),  # -1: the query was not captured
        ("response_packet", np.int64),  # -1: unanswered
        (
            "client",
            np.int32,
        ),  # id of its address; once paired, of the container that is named there
        ("server", np.int32),
        ("qname", np.int32),  # name id, as on the wire
        ("folded", np.int32),  # name id of the same name in lower case
        ("min_ttl", np.int32),
        ("edns_bytes", np.int32),  # of the query
        ("capture", np.int32),
        ("response_bytes", np.uint16),  # 0: unanswered, or not shown
        ("client_port", np.uint16),
        ("message_id", np.uint16),
        ("qtype", np.uint16),
        ("rcode", np.uint16),
        ("answers", np.uint16),
        ("edns_options", np.uint16),
        ("transport", np.uint8),
        ("outcome", np.uint8),
        ("aa", np.uint8),  # AA_HIDDEN where the source does not show it
        ("tc", np.uint8),
        ("marks", np.uint8),  # bits: EXCHANGE_ALIAS, EXCHANGE_ITERATIVE, EXCHANGE_REFUSED
        ("soa", np.uint8),  # whose SOA a response without an answer shows: see NO_SOA
    ],
    align=True,
)

#: ``marks`` of an exchange: its response has MARK_SHORTER_ALIAS; its query asks for no recursion;
#: it is unanswered, and ICMP messages say that queries of its client do not reach its server.
EXCHANGE_ALIAS, EXCHANGE_ITERATIVE, EXCHANGE_REFUSED = 1, 2, 4
#: ``aa`` of a response whose header flags the source does not show.
AA_HIDDEN = 2
#: No clock: the time of a packet from a source that printed none.
NO_TIME = np.iinfo(np.int64).min
#: Absent, in every signed field where 0 is a value.
ABSENT = -1
#: ``edns_bytes`` where the source shows nothing of EDNS, be it there or not.
EDNS_HIDDEN = -2
#: DNS header flags (RFC 1035 section 4.1.1), as they stand in the 16-bit field.
QR, AA, TC, RD, RA, AD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020
#: ``transport`` values.
UDP, TCP = 0, 1
#: ``soa`` where no SOA record shows, where it is no zone of the asked name, and the most that is
#: told apart; else 1 + the labels of its zone, which are the last ones of the asked name.
NO_SOA, OTHER_SOA, MOST_SOA = 0, 31, 30
#: Bits of ``marks``.
MARK_CUT = 1  #: the message is longer than what was captured of it
MARK_QUESTION_SHOWN = 2  #: the source shows a question (below -vv, tcpdump hides a response's)
MARK_MALFORMED = 4  #: decoding stopped early; what came before it is kept
MARK_ID_HIDDEN = 16  #: the source shows no message ID; the client's port stands in its place
MARK_OWNER_SURE = 64  #: ``owner`` comes from the client's side of the capture, not the server's
MARK_FLAGS_HIDDEN = 32  #: the source shows not all of AA, TC, RD and RA; hidden ones are clear
MARK_SHORTER_ALIAS = 8  #: the first answer is a CNAME to the asked name less some of its labels
MESSAGE = np.dtype(
    [
        ("time", np.int64),  # ns since 1970 UTC; without a clock, the packet number times 1000
        ("packet_no", np.int64),  # from 1, within the capture
        ("content", np.uint64),  # seeded hash of the DNS bytes, for duplicates
        ("link", np.uint64),  # hash of the link-layer addresses and direction, 0 where none
        ("qname", np.int32),  # name id, case as on the wire; ABSENT where not shown
        ("client", np.int32),  # address id of the side that is not the server
        ("server", np.int32),  # ABSENT where the source does not name it
        ("interface", np.int32),  # pcapng interface, or SLL2's index; 0 otherwise
        ("min_ttl", np.int32),  # smallest TTL of the answers, or the negative TTL
        ("edns_bytes", np.int32),  # OPT's UDP payload size; ABSENT without OPT
        ("message_bytes", np.int32),  # length on the wire; 0 where not shown
        ("ip_id", np.int32),  # IPv4 identification; ABSENT for IPv6 or where not shown
        ("client_port", np.uint16),
        ("server_port", np.uint16),  # 0 where not shown
        ("message_id", np.uint16),
        ("flags", np.uint16),  # the header's second 16 bits: QR, opcode, AA, TC, RD, RA, AD, CD
        ("rcode", np.uint16),  # with EDNS' upper bits (RFC 6891 section 6.1.3)
        ("qtype", np.uint16),
        ("qclass", np.uint16),
        ("answers", np.uint16),  # records in the answer section, as the header counts them
        ("typed_answers", np.uint16),  # of the asked type; ANCOUNT where the answers are cut off
        ("edns_options", np.uint16),  # bytes of options within OPT
        ("message_no", np.uint16),  # from 1, within the packet
        ("transport", np.uint8),
        ("hop_limit", np.uint8),  # IPv4 TTL or IPv6 hop limit; 0 where not shown
        ("marks", np.uint8),
        ("soa", np.uint8),  # of a response's authority section: see NO_SOA
        ("owner", np.int32),  # id of the container at the client's address, ABSENT: none is named
    ],
    align=True,
)
Messages = npt.NDArray[Any]


def new_messages(count: int) -> Messages:
    """Return ``count`` zeroed rows whose absent-able fields say ABSENT."""
    rows = np.zeros(count, MESSAGE)
    for column in ("qname", "min_ttl", "edns_bytes", "ip_id", "owner"):
        rows[column] = ABSENT
    return rows


def take_rows(rows: npt.NDArray[Any], index: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return ``rows[index]``, moved as whole records: NumPy's own way moves them field by field."""
    whole = rows.view(np.dtype((np.void, rows.dtype.itemsize)))
    return np.take(whole, index).view(rows.dtype)


def put_rows(rows: npt.NDArray[Any], index: npt.NDArray[Any], new: npt.NDArray[Any]) -> None:
    """Set ``rows[index]`` to ``new`` ones, which are moved as whole records, too."""
    record = np.dtype((np.void, rows.dtype.itemsize))
    rows.view(record)[index] = new.view(record)


# What kernels take, by name. Arrays have one dimension unless a docstring gives a shape.
Int = int | np.integer[Any]  #: a whole number: Python's, or one that was read from an array
Array = npt.NDArray[Any]  #: of any dtype, where only its length matters
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]  #: times in ns, counts, offsets
Ids = npt.NDArray[np.int32]  #: of names, addresses, clients; numbers of rows
Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.void]  #: fixed-width rows, of a dtype that stands beside their kernel
Row = np.void  #: one of them, ``rows[i]``: read, and written in place


# Type aliases of rooms above, one for each kind of row (the field names are those of its dtype).
Exchanges = Rows  #: EXCHANGE
Lookups = Rows  #: LOOKUP
Transactions = Rows  #: TRANSACTION


def in_fewest_bytes(values: npt.NDArray[np.integer[Any]]) -> Integers:
    """Return a copy of integers, to be read only, in the fewest bytes that hold them.

    Where all are equal it holds one of them, however many they are. Such copies may be put
    together: their types have one that holds all of them.
    """
    if not values.size:
        return values.astype(np.uint8)
    least, most = int(values.min()), int(values.max())
    kind = fewest_bytes(least, most)
    return np.broadcast_to(kind.type(least), values.shape) if least == most else values.astype(kind)


def fewest_bytes(least: int, most: int) -> np.dtype[np.integer[Any]]:
    """Return the shortest type of integers that holds these two."""
    for size in (1, 2, 4):
        kind: np.dtype[np.integer[Any]] = np.dtype(f"{'u' if least >= 0 else 'i'}{size}")
        if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max:
            return kind
    return np.dtype(np.int64)
