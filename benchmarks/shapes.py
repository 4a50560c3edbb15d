"""The captures that are measured: each generated once, kept in ``benchmarks/out/``."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
PACKETS_PER_LOOKUP = 11.442  # of the generator, at its defaults

PLAIN = "pod-like"
GZIP = "gzip"
FULL = "full traffic, 1 % DNS"

#: shape -> options of the generator, for captures of the same number of packets
SHAPES: dict[str, tuple[str, ...]] = {
    PLAIN: (),
    "unique names": ("--unique-names",),
    "one client": ("--pods", "1", "--seed", "5"),
    "one client, unique names": ("--pods", "1", "--seed", "5", "--unique-names"),
    "TCP-heavy": ("--tcp", "0.3"),
    "four copies": ("--copies", "4"),
    FULL: ("--noise", "0.99"),
    GZIP: (),
}
#: How many packets a lookup makes there, relative to the plain shape.
_SCALE = {"TCP-heavy": 1.155, "four copies": 4.0, FULL: 100.0}


@dataclass(frozen=True)
class Capture:
    """One capture; ``packed`` is the same one under gzip, where the shape has it."""

    path: Path
    packets: int
    packed: Path | None = None

    def discard(self) -> None:
        """Delete it."""
        for path in (self.path, self.path.with_suffix(".json"), self.packed):
            if path is not None:
                path.unlink(missing_ok=True)


def capture(shape: str, millions: float) -> Capture:
    """Return a capture of about so many million packets (0: of one lookup)."""
    OUT.mkdir(exist_ok=True)
    lookups = max(1, round(millions * 1e6 / PACKETS_PER_LOOKUP / _SCALE.get(shape, 1.0)))
    stem = re.sub(r"\W+", "-", PLAIN if shape == GZIP else shape)
    path = OUT / f"{stem}-{millions:g}m.pcap"
    told = path.with_suffix(".json")
    generator = hashlib.sha256((HERE / "generate.py").read_bytes()).hexdigest()
    truth = json.loads(told.read_text()) if told.exists() and path.exists() else {}
    if truth.get("generator") != generator:
        print(f"generating {path.name}", file=sys.stderr)
        command = [sys.executable, str(HERE / "generate.py"), str(path), str(lookups)]
        done = subprocess.run([*command, *SHAPES[shape]], stdout=subprocess.PIPE, check=True)
        truth = json.loads(done.stdout) | {"generator": generator}
        path.with_name(f"{path.name}.gz").unlink(missing_ok=True)
        told.write_text(json.dumps(truth) + "\n")
    return Capture(path, truth["packets"], _packed(path) if shape == GZIP else None)


def _packed(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    if not packed.exists():
        print(f"compressing {path.name}", file=sys.stderr)
        part = packed.with_suffix(".part")
        with path.open("rb") as plain, gzip.open(part, "wb", compresslevel=6) as out:
            shutil.copyfileobj(plain, out, 1 << 20)
        part.rename(packed)
    return packed
