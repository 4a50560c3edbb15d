"""Long runs: does a process stay as it was, after many analyses and under a stream of packets?

``python -m tests.environment.endurance analyses 1000`` makes that many in one process, of captures
and logs of all kinds, with a report in every format and some that fail. ``stream 3600 --rate 2000``
sends packets to ``pcapkit analyze -``, as many as that many seconds have at that rate, each second
of them in a second, or in less with ``--speed`` (0: as fast as they are read); with ``--live``, to
a terminal where the summary is redrawn. Both print rows of what the process holds.
"""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from itertools import count, pairwise
from pathlib import Path

import numpy as np

from tests.environment.kills import LAB, ROOT

_MAIN = "from pcapkit.cli.main import main; main()"
_HEADER, _RECORD = 24, 16  # bytes of a pcap file and of a packet before its data
_FORMATS = ("html", "png", "json", "csv", "parquet", "md", "openmetrics")
#: About as many does one lookup take.
_PACKETS_OF_LOOKUP = 10
#: So often is looked at what a stream's process holds.
_LOOKS = 20


@dataclass(frozen=True)
class Held:
    """What a process holds: ``done`` analyses or packets ago it began."""

    done: int
    resident_kib: int
    files: int  # open ones, sockets and pipes among them
    threads: int
    children: int
    temporary: int  # files in its folder for them


def held(pid: int, done: int, temporary: Path) -> Held:
    """Return what a process holds now, by /proc (proc_pid_status(5), proc_pid_fd(5))."""
    place = Path("/proc") / str(pid)
    status = dict(
        line.split(":", 1) for line in (place / "status").read_text().splitlines() if ":" in line
    )
    tasks = list((place / "task").iterdir())
    return Held(
        done,
        int(status["VmRSS"].split()[0]),
        len(list((place / "fd").iterdir())),
        len(tasks),
        sum(len((task / "children").read_text().split()) for task in tasks),
        sum(1 for path in temporary.rglob("*") if path.is_file()),
    )


# ---- many analyses ----------------------------------------------------------------------------


def inputs() -> list[Path]:
    """Return captures and logs of all kinds, and in the end what is none."""
    return [
        *sorted(path for path in LAB.iterdir() if path.suffix != ".json"),
        *sorted((ROOT / "captures" / "six-traces").glob("*.pcap")),
        ROOT / "README.md",
        ROOT / "captures" / "nothing-of-that-name.pcap",
    ]


def analyses(wanted: int, folder: Path) -> Iterator[Held]:
    """Analyse one input after the other in this process; give what it holds after each round."""
    import pcapkit
    from pcapkit.report.writer import write_report

    paths = inputs()
    for number in range(1, wanted + 1):
        path = paths[number % len(paths)]
        with suppress(pcapkit.PcapkitError):  # no capture, or nothing to draw in it
            analysis = pcapkit.analyze(path)
            write_report(analysis, folder / "reports", _FORMATS, tables=analysis.table_parts)
            for table in ("lookups", "transactions", "what_if"):
                analysis.table(table)
            analysis._repr_html_()
            analysis.plot.waste()._repr_svg_()
        if number % len(paths) == 0:
            yield held(os.getpid(), number, folder / "tmp")


# ---- a stream ---------------------------------------------------------------------------------


class Minute:
    """About a minute of a node's packets; each time that it is sent, its times are later."""

    def __init__(self, folder: Path, packets: int) -> None:
        path = folder / "minute.pcap"
        lookups = str(max(1, packets // _PACKETS_OF_LOOKUP))
        arguments = ("node", "--lookups", lookups, "--clients", "40", "--for", "1m")
        subprocess.run(
            [sys.executable, "-c", _MAIN, "generate", *arguments, "-o", str(path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        )
        data = np.fromfile(path, np.uint8)
        self.header, self._body = data[:_HEADER].tobytes(), data[_HEADER:]
        begins, at = [], 0
        while at < self._body.size:
            begins.append(at)
            at += _RECORD + int(self._body[at + 8 : at + 12].view("<u4")[0])
        self._seconds = np.array(begins)[:, None] + np.arange(4)
        times = self._body[self._seconds].view("<u4").ravel()
        self._length = int(times[-1]) - int(times[0]) + 1
        self.packets = len(begins)
        self._cuts = np.array([*begins, at])[np.linspace(0, self.packets, 61).astype(int)].tolist()

    def sent(self, times: int) -> Iterator[bytes]:
        """Give 60 pieces of packets, as they are when it was sent so often before."""
        body = self._body.copy()
        later = body[self._seconds].view("<u4") + np.uint32(self._length * times)
        body[self._seconds] = later.view(np.uint8)
        for begin, end in pairwise(self._cuts):
            yield body[begin:end].tobytes()


def stream(seconds: int, rate: int, folder: Path, *, speed: float, live: bool) -> Iterator[Held]:
    """Send packets to one process for so long; now and then, give what it holds.

    ``rate`` packets belong to a second. A second is sent in ``1 / speed`` of one, or as fast as it
    is read where that is 0. Raises RuntimeError where the process does not end well.
    """
    minute = Minute(folder, 60 * rate)
    total = seconds * rate
    (folder / "tmp").mkdir(exist_ok=True)
    command = [sys.executable, "-c", _MAIN, "analyze", "-", "-o", str(folder / "reports")]
    drawn, screen = pty.openpty()
    process = subprocess.Popen(
        [*command, "--live"] if live else command,
        stdin=subprocess.PIPE,
        stdout=screen,
        stderr=subprocess.STDOUT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder / "tmp"),
            "TERM": "xterm",
            "COLUMNS": "100",
            "LINES": "50",
        },
    )
    os.close(screen)
    shown = bytearray()
    reader = threading.Thread(target=_read_all, args=(drawn, shown))
    reader.start()
    assert process.stdin is not None
    began, sent, next_row = time.monotonic(), 0, 0
    with process.stdin as pipe:
        pipe.write(minute.header)
        for piece_of in (piece for n in count() for piece in minute.sent(n)):
            if sent >= next_row:
                yield held(process.pid, sent, folder / "tmp")
                next_row += total // _LOOKS
            if sent >= total:
                break
            pipe.write(piece_of)
            sent += minute.packets // 60
            if speed and (ahead := sent / rate / speed - (time.monotonic() - began)) > 0:
                time.sleep(ahead)
    status = process.wait()
    reader.join()
    os.close(drawn)
    if status:
        raise RuntimeError(f"analyze ended with {status}:\n{shown[-2000:].decode()}")


def _read_all(terminal: int, into: bytearray) -> None:
    while True:
        try:
            data = os.read(terminal, 1 << 16)
        except OSError:  # the other side is closed
            return
        into += data
        del into[:-4096]


# ---- the command ------------------------------------------------------------------------------


def growth(rows: Sequence[Held]) -> tuple[float, int]:
    """Return by how much memory grew over the second half, and the most that else was held more."""
    half = rows[len(rows) // 2 :]
    more = max(
        max(getattr(row, name) for row in half) - getattr(half[0], name)
        for name in ("files", "threads", "children", "temporary")
    )
    return max(row.resident_kib for row in half) / half[0].resident_kib - 1, more


def main() -> None:
    """Make one long run, and print what was held on the way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parts = parser.add_subparsers(dest="part", required=True)
    many = parts.add_parser("analyses")
    many.add_argument("count", type=int)
    one = parts.add_parser("stream")
    one.add_argument("seconds", type=int)
    one.add_argument("--rate", type=int, default=2000, help="packets of a second")
    one.add_argument("--speed", type=float, default=1, help="seconds sent in one; 0: no waiting")
    one.add_argument("--live", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pcapkit-endurance-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        if options.part == "analyses":
            os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
            rows = analyses(options.count, folder)
        else:
            rows = stream(
                options.seconds, options.rate, folder, speed=options.speed, live=options.live
            )
        seen = []
        print("| " + " | ".join(field.name for field in fields(Held)) + " |", flush=True)
        for row in rows:
            seen.append(row)
            print("| " + " | ".join(f"{n:,}" for n in astuple(row)) + " |", flush=True)
    memory, other = growth(seen)
    print(f"second half: memory {memory:+.1%} at most, files, threads, children {other:+} at most")


if __name__ == "__main__":
    main()
