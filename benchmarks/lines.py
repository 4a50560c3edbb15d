"""Time the reading of lines of logs: from bytes to message rows, in CPU seconds of one thread.

    python benchmarks/lines.py [--lines N] [--runs N] [FORM ...]

Writes each form with ``generate_lines.py`` into ``benchmarks/out/``, reads it through once, then
times so many runs, and prints the fastest as a row of a table.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from pcapkit.ingest.inputs.formats import open_capture
from pcapkit.ingest.inputs.source import open_source
from pcapkit.ingest.window import Interners

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
FORMS = "plain stamps prefix replicas cri docker fluent-bit vector loki tcpdump".split()


def seconds(path: Path) -> tuple[float, int, int]:
    """Return the CPU seconds of reading a log, its lines and its messages."""
    interners, lines, messages = Interners(), 0, 0
    with open_source(str(path)) as source:
        capture = open_capture(source, interners, ports=frozenset((53,)))
        start = time.thread_time()
        for window in capture.windows:
            interners.fold()
            lines += window.packets
            messages += window.messages.size
        return time.thread_time() - start, lines, messages


def main() -> None:
    """Measure the forms that the command line asks for."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("forms", nargs="*", metavar="FORM", help=f"of: {', '.join(FORMS)}")
    options.add_argument("--lines", type=int, default=1_000_000)
    options.add_argument("--runs", type=int, default=5)
    o = options.parse_args()
    OUT.mkdir(exist_ok=True)
    print("| form | lines | messages | CPU, s | lines/s |\n|---|--:|--:|--:|--:|")
    for form in o.forms or FORMS:
        path = OUT / f"lines-{form}-{o.lines}.log"
        if not path.exists():
            command = [sys.executable, str(HERE / "generate_lines.py"), form, str(o.lines)]
            subprocess.run([*command, str(path)], check=True)
        seconds(path)
        took, lines, messages = min(seconds(path) for _ in range(o.runs))
        print(f"| {form} | {lines:,} | {messages:,} | {took:.2f} | {lines / took:,.0f} |")


if __name__ == "__main__":
    main()
