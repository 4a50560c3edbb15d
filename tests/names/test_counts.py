"""Label counts of names that are found while others ask for them."""

from __future__ import annotations

import threading

from pcapkit.kernels.interning import Interner
from pcapkit.names.table import Folded
from pcapkit.names.text import wire_from_text


def test_threads_may_ask_for_label_counts_while_names_are_found() -> None:
    names = Folded(Interner())
    wires = [wire_from_text(f"n{n}" + n % 4 * ".a") for n in range(3_000)]
    wrong: list[object] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            size = len(names.names)
            try:
                counts = names.label_counts()
            except ValueError as problem:
                wrong.append(problem)
                return
            if counts.size < size or (counts[:size] == 0).any():
                wrong.append(counts)
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for wire in wires:
        names.names.add(wire)
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert names.label_counts().tolist() == [1 + n % 4 for n in range(3_000)]
