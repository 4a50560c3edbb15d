"""Values in CoreDNS' lines, compiled: what ``coredns.py`` puts together.

As in ``text.py``, each returns where it stopped, or NOT_MINE.
"""

from __future__ import annotations

import numpy as np

from pcapkit.ingest.logs.blocks.text import BLANK, DOT, NOT_MINE, fraction_at, is_at, number_at
from pcapkit.kernels.jit import helper_kernel, inline_kernel
from pcapkit.kernels.words import u8
from pcapkit.schema import AA, AD, QR, RA, RD, TC, Bytes, Int

CD = 0x0010
LONGEST_S = 86_400  # no query takes a day
_SECOND_NS = 1_000_000_000


@helper_kernel
def flags_at(text: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (header flags, offset behind them) of ``qr,aa,rd``, or ``-``, in ``text[at:end]``."""
    if is_at(text, at, end, 0x2D):
        return np.int64(0), np.int64(at + 1)
    flags = np.int64(0)
    while end - at >= 2:
        pair = u8(text, at) << 8 | u8(text, at + 1)
        if pair == 0x7172:
            flags |= QR
        elif pair == 0x6161:
            flags |= AA
        elif pair == 0x7264:
            flags |= RD
        elif pair == 0x7261:
            flags |= RA
        elif pair == 0x7463:
            flags |= TC
        elif pair == 0x6164:
            flags |= AD
        elif pair == 0x6364:
            flags |= CD
        else:
            break
        at += 2
        if not is_at(text, at, end, 0x2C):
            return flags, np.int64(at)
        at += 1
    return np.int64(0), np.int64(NOT_MINE)


@helper_kernel
def duration_at(text: Bytes, at: Int, end: Int) -> tuple[Int, Int]:
    """Return (ns, offset behind it) of a duration in seconds in ``text[at:end]``: ``0.000105s``."""
    seconds, at = number_at(text, at, end, 5)
    if at < 0 or seconds >= LONGEST_S:
        return np.int64(0), np.int64(NOT_MINE)
    part: Int = np.int64(0)
    digits: Int = np.int64(0)
    if is_at(text, at, end, DOT):
        part, digits = fraction_at(text, at + 1, end)
        at += 1 + digits
    if digits < 0 or not is_at(text, at, end, 0x73):
        return np.int64(0), np.int64(NOT_MINE)
    return seconds * _SECOND_NS + part, np.int64(at + 1)


@helper_kernel
def stream_at(text: Bytes, at: Int, end: Int) -> Int:
    """Return where the name in the brackets at ``at`` of ``text[:end]`` ends: ``[pod/a-1/b] ``.

    NOT_MINE where that is no name with which ``kubectl logs --prefix`` begins a line.
    """
    at += 1
    begin = at
    while at < end:
        byte = u8(text, at)
        letter = 0x61 <= byte <= 0x7A
        if not (letter or 0x30 <= byte <= 0x39 or byte == 0x2D or byte == 0x2F or byte == DOT):
            break
        at += 1
    pod = end - at >= 2 and at - begin > 4 and u8(text, begin) == 0x70
    if not (pod and u8(text, begin + 1) == 0x6F and u8(text, begin + 2) == 0x64):
        return np.int64(NOT_MINE)
    if u8(text, begin + 3) != 0x2F or u8(text, at) != 0x5D or u8(text, at + 1) != BLANK:
        return np.int64(NOT_MINE)
    return np.int64(at)


@inline_kernel
def is_in(text: Bytes, at: Int, end: Int, first: Int, second: Int, third: Int) -> bool:
    """Are the next four bytes of ``text[at:end]`` these three, and a blank?"""
    return bool(
        end - at >= 4
        and u8(text, at) == first
        and u8(text, at + 1) == second
        and u8(text, at + 2) == third
        and u8(text, at + 3) == BLANK
    )
