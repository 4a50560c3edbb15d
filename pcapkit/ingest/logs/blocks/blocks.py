"""Bytes of a source as blocks of whole lines, as UTF-8 or as they are."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pcapkit.ingest.inputs.source import Source
from pcapkit.ingest.inputs.wrappings import utf16_of
from pcapkit.schema import Bytes

#: So much is read at a time: two thousand lines, which stay in a near cache while they are read.
BLOCK_BYTES = 1 << 18
#: An endless line is cut to so many bytes.
LINE_BYTES = 1 << 20


class Block(NamedTuple):
    """Whole lines with their ends, but for the last one of a source, which may have none."""

    raw: bytearray
    array: Bytes  # the same memory
    size: int


def blocks(source: Source, block_bytes: int) -> Iterator[Block]:
    """Yield blocks; each is overwritten by the next."""
    encoding = utf16_of(source.peek(512))
    decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    raw = bytearray(LINE_BYTES + 4 * block_bytes)
    array = np.frombuffer(raw, np.uint8)
    piece = memoryview(bytearray(block_bytes))
    held, first = 0, True  # bytes of a line whose end has not come
    while got := source.readinto(piece):
        part: bytes | memoryview = piece[:got]
        if decoder is not None:
            part = decoder.decode(bytes(part)).encode("utf-8", "replace")
        if first:
            part = bytes(part).removeprefix(codecs.BOM_UTF8)
            first = False
        end = held + len(part)
        raw[held:end] = part
        newline = raw.rfind(b"\n", held, end)
        if newline < 0:
            held = min(end, LINE_BYTES)
            continue
        yield Block(raw, array, newline + 1)
        held = min(end - newline - 1, LINE_BYTES)
        raw[:held] = raw[newline + 1 : newline + 1 + held]
    if held:
        yield Block(raw, array, held)
