#!/usr/bin/env python3
"""Say where an analysis spends its CPU time: by kernel, and by library outside kernels.

    python benchmarks/kernel_profile.py CAPTURE [--least PERCENT]

Needs Linux' perf (Debian: linux-perf). Kernels are machine code without symbols: where each begins
is written down while the analysis links them.
"""

from __future__ import annotations

import argparse
import bisect
import ctypes
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

#: No kernel is longer.
_KERNEL_BYTES = 1 << 19


def analyse(capture: str, addresses: str) -> None:
    """Analyse a capture; write to a file where each kernel begins."""
    from pcapkit.cli.main import main as run
    from pcapkit.kernels.calls import Code, Form, Kinds

    link = Form.__init__

    def noted(self: Form, code: Code, kinds: Kinds, folder: str, *, found: bool) -> None:
        link(self, code, kinds, folder, found=found)
        begin = ctypes.cast(self._function, ctypes.c_void_p).value
        with open(addresses, "a") as out:
            out.write(f"{begin} {code.symbol}\n")

    Form.__init__ = noted  # type: ignore[method-assign]
    sys.argv = ["pcapkit", "analyze", capture, "--json", "--quiet"]
    run()


def shares(capture: str) -> tuple[int, Counter[str]]:
    """Return the samples of one analysis, and how many fell where."""
    with tempfile.TemporaryDirectory() as folder:
        data, addresses = Path(folder) / "perf.data", Path(folder) / "addresses"
        command = [sys.executable, __file__, capture, "--addresses", str(addresses)]
        perf = ["perf", "record", "-e", "cpu-clock", "-F", "1000", "-g", "-o", str(data)]
        quiet = subprocess.DEVNULL
        subprocess.run([*perf, *command], check=True, stdout=quiet, stderr=quiet)
        lines = (line.split() for line in addresses.read_text().splitlines())
        kernels = sorted((int(begin), symbol) for begin, symbol in lines)
        said = subprocess.run(
            ["perf", "script", "-i", str(data), "-F", "ip,sym,dso"],
            stdout=subprocess.PIPE,
            stderr=quiet,
            text=True,
            check=True,
        ).stdout
    samples = [sample.strip().splitlines() for sample in said.split("\n\n") if sample.strip()]
    found: Counter[str] = Counter()
    for frames in samples:
        if "kernel.kallsyms" in frames[0]:
            found["(the operating system)"] += 1
        else:
            found[_place(frames[0], kernels)] += 1
    return len(samples), found


def _place(frame: str, kernels: list[tuple[int, str]]) -> str:
    """Return what a frame of perf's is in: a kernel, or a library."""
    if "perf-" not in frame and "JIT" not in frame:
        library = frame.rsplit("(", 1)[-1].rstrip(")").rsplit("/", 1)[-1]
        return f"({library.split('-')[0].split('.')[0]})"
    address = int(frame.split()[0], 16)
    at = bisect.bisect(kernels, (address, "~")) - 1
    if at < 0 or address - kernels[at][0] > _KERNEL_BYTES:
        return "(other machine code)"
    return _name(kernels[at][1])


def _name(symbol: str) -> str:
    """Return the last part of a nested name (Itanium C++ ABI, 5.1.3): that of a kernel."""
    rest, name = symbol.removeprefix("_ZN"), symbol
    while found := re.match(r"\d+", rest):
        begin = found.end()
        name, rest = rest[begin : begin + int(found[0])], rest[begin + int(found[0]) :]
    return name


def main() -> None:
    """Print the shares as a table."""
    options = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    options.add_argument("capture")
    options.add_argument("--least", type=float, default=1.0, metavar="PERCENT")
    options.add_argument("--addresses", help=argparse.SUPPRESS)
    o = options.parse_args()
    if o.addresses:
        analyse(o.capture, o.addresses)
        return
    total, found = shares(o.capture)
    print("| where | CPU, % |\n|---|--:|")
    for place, samples in found.most_common():
        if samples * 100 >= o.least * total:
            print(f"| {place} | {samples * 100 / total:.1f} |")


if __name__ == "__main__":
    main()
