#!/usr/bin/env python3
"""Time decoding alone: bytes to rows of messages, nothing kept, nothing paired.

    decode.py CAPTURE

Prints JSON: packets walked, messages decoded, wall and CPU seconds of the reading, without those
of starting Python and loading kernels (a first, short reading of the same capture does that).
"""

from __future__ import annotations

import itertools
import json
import sys
import time

from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.inputs.source import open_source
from pcapkit.ingest.window import Interners


def read(path: str, windows: int | None = None) -> tuple[int, int]:
    """Read a capture, or its first windows; return packets and messages."""
    packets = messages = 0
    with open_source(path) as source:
        capture = open_capture(source, Interners(), ports=frozenset({53}))
        for window in itertools.islice(capture.windows, windows):
            packets += window.packets
            messages += int(window.messages.size)
    return packets, messages


def main() -> None:
    """Read the capture that the command line names."""
    path = sys.argv[1]
    read(path, 1)
    wall, cpu = time.perf_counter(), time.process_time()
    packets, messages = read(path)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"packets": packets, "messages": messages, "wall_s": wall, "cpu_s": cpu}))


if __name__ == "__main__":
    main()
