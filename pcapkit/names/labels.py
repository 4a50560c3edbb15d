"""Interned names against search suffixes: labels, common beginnings, and bases.

Names here are ids of the analysis' interner, whose strings are wire form. A base name is interned
like any other, so that a walk and the name it is about compare as integers.
"""

from __future__ import annotations

import numpy as np

from pcapkit.kernels.jit import helper_kernel
from pcapkit.kernels.words import u64_little
from pcapkit.schema import Bytes, Int, Integers

Labels = tuple[str, ...]


@helper_kernel
def name_start(ends: Integers, name: Int) -> Int:
    """Return where ``name`` begins in the arena whose ``ends`` these are."""
    return np.int64(ends[name - 1]) if name > 0 else np.int64(0)


@helper_kernel
def common_labels(arena: Bytes, ends: Integers, left: Int, right: Int) -> np.int64:
    """Count the labels that ``left`` and ``right`` share from their beginnings.

    Both are ids of an interner, whose ``arena`` and ``ends`` these are.
    """
    a, b = name_start(ends, left), name_start(ends, right)
    length = min(ends[left] - a, ends[right] - b)
    same = np.int64(0)  # bytes
    while same + 8 <= length and u64_little(arena, a + same) == u64_little(arena, b + same):
        same += 8
    while same < length and arena[a + same] == arena[b + same]:
        same += 1
    shared, at = np.int64(0), np.int64(0)
    while at < same:
        size = np.int64(arena[a + at])
        if size == 0 or at + size >= same:
            break
        shared += 1
        at += size + 1
    return shared


@helper_kernel
def labels_end(arena: Bytes, ends: Integers, name: Int, labels: Int) -> Int:
    """Return the offset in the ``arena`` behind the first ``labels`` labels of ``name``.

    ``ends`` are those of the arena's names.
    """
    at = name_start(ends, name)
    stop = ends[name]
    for _ in range(labels):
        if at >= stop:
            break
        at += np.int64(arena[at]) + 1
    return at


def split(text: str) -> Labels:
    """Split a presentation-form name at its dots; escaped dots stay inside their label."""
    if text in ("", "."):
        return ()
    if "\\" not in text:
        return tuple(text.split("."))
    labels, start, at = [], 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 2
            continue
        if text[at] == ".":
            labels.append(text[start:at])
            start = at + 1
        at += 1
    labels.append(text[start:])
    return tuple(labels)


def join(labels: Labels) -> str:
    """Join labels to presentation form without a final dot; the root is ``.``."""
    return ".".join(labels) if labels else "."
