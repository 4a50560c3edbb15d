"""Tells a copy of a packet from a resend, by the messages of the other direction between them.

Text shows no identification: what is asked again after its response is no copy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pcapkit.ingest.logs.blocks.filled import Filled
from pcapkit.kernels.hashing import SEED, find_slot, hash_ids
from pcapkit.kernels.jit import inline_kernel, kernel
from pcapkit.schema import MARK_ID_HIDDEN, QR, Ids, Int, Integers, Row, Rows

_KEPT = 1 << 16  # exchanges whose direction is remembered
_TALK = np.dtype(
    [
        ("client", np.int32),
        ("place", np.int32),
        ("turn", np.int32),  # how often the direction has changed
        ("client_port", np.uint16),
        ("message_id", np.uint16),
        ("way", np.uint16),  # of its last message: QR or 0
        ("transport", np.uint8),
        ("hidden", np.uint8),  # MARK_ID_HIDDEN or 0
    ],
    align=True,
)


class Turns(NamedTuple):
    """The exchanges that were seen lately."""

    talks: Rows  # _TALK
    slots: Ids  # a hash table: the number of a talk + 1
    used: Integers  # one: how many talks


@inline_kernel
def _is_talk(entry: Int, key: tuple[Rows, Row, Int]) -> bool:
    """Is the slot with ``entry`` free, or of the exchange of the row in ``key``, at its place?"""
    talks, row, place = key
    if entry == 0:
        return True
    talk = talks[entry - 1]
    return bool(
        talk["client"] == row["client"]
        and talk["place"] == place
        and talk["client_port"] == row["client_port"]
        and talk["message_id"] == row["message_id"]
        and talk["transport"] == row["transport"]
        and talk["hidden"] == row["marks"] & MARK_ID_HIDDEN
    )


@kernel
def mark_turns(filled: Filled, turns: Turns, seed: np.uint64) -> None:
    """Add to the content of each message how often the direction of its exchange has changed.

    Goes in: ``filled``, the messages of a window in their order; those without a place, or with an
    identification, stay as they are. ``turns`` is kept up; ``seed`` is that of its hashes. What
    content becomes is the same in every run.
    """
    rows = filled.rows
    for i in range(rows.shape[0]):
        row = rows[i]
        place = np.int64(filled.places[i])
        if place < 0 or row["ip_id"] >= 0:
            continue
        ends = np.int64(row["client_port"]) << 16 | np.int64(row["message_id"])
        ends ^= np.int64(row["transport"]) << 40 | place << 41
        h = hash_ids(ends, row["client"], seed)
        key = (turns.talks, row, place)
        slot = find_slot(turns.slots, h, _is_talk, key)
        way = row["flags"] & QR
        turn = np.int64(0)
        known = np.int64(turns.slots[slot])
        if known:
            talk = turns.talks[known - 1]
            turn = np.int64(talk["turn"]) + (1 if talk["way"] != way else 0)
        if turns.used[0] >= turns.talks.shape[0]:
            turns.slots[:] = 0
            turns.used[0] = 0
            known = np.int64(0)
            slot = find_slot(turns.slots, h, _is_talk, key)
        if not known:
            known = turns.used[0] + 1
            turns.used[0] = known
            turns.slots[slot] = known
            talk = turns.talks[known - 1]
            talk["client"], talk["place"], talk["client_port"] = (
                row["client"],
                place,
                row["client_port"],
            )
            talk["message_id"], talk["transport"] = row["message_id"], row["transport"]
            talk["hidden"] = row["marks"] & MARK_ID_HIDDEN
        talk = turns.talks[known - 1]
        talk["way"], talk["turn"] = way, turn
        row["content"] = hash_ids(row["content"], turn, np.uint64(0))


class Talks:
    """Tells copies from resends across the windows of one source."""

    def __init__(self) -> None:
        self._turns: Turns | None = None

    def mark(self, filled: Filled) -> None:
        """Make contents differ where a message of the other direction stands between."""
        if not (filled.places >= 0).any():
            return
        if self._turns is None:
            talks, slots = np.zeros(_KEPT, _TALK), np.zeros(4 * _KEPT, np.int32)
            self._turns = Turns(talks, slots, np.zeros(1, np.int64))
        mark_turns(filled, self._turns, SEED)
