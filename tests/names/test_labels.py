"""Names of one analysis as text."""

from __future__ import annotations

import numpy as np

from pcapkit.kernels.interning import Interner
from pcapkit.names.table import Folded


def test_many_names_read_as_each_one_does() -> None:
    names = Interner()
    wires = (
        b"\3api\7example\3com\0",
        b"\0",
        b"\1a\0",
        b"\2.;\1b\0",
        b"\3a\0b\0",
        b"\2\xff\x20\0",
        b"\x3f" + 63 * b"x" + b"\1y\0",
        b"\4cut",
    )
    for wire in wires:
        names.add(wire)
    folded = Folded(names)
    order = np.array([4, 1, 0, 7, 3, 2, 2, 6, 5])
    assert folded.texts(order) == [folded.text(n) for n in order.tolist()]
    assert folded.texts(order[:3])[1:] == [".", "api.example.com"]
    assert folded.texts(order[:0]) == []
