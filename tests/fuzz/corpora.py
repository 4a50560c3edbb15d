"""The corpora that are kept: one archive a target, of the inputs that together reach every edge."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tests.fuzz.outcomes import Target

FOLDER = Path(__file__).parent / "corpus"
#: An archive says nothing of when it was made.
_TIME = (1980, 1, 1, 0, 0, 0)
_BUCKETS = 8  # of one edge's counts, in libFuzzer's numbering of features


def path_of(target: Target) -> Path:
    """Return where the corpus of a target is kept."""
    return FOLDER / f"{target.name.lower().replace(' ', '_').replace('.', '_')}.zip"


def kept(target: Target) -> list[bytes]:
    """Return the inputs that are kept of a target, in the order of their digests."""
    path = path_of(target)
    if not path.exists():
        return []
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name) for name in sorted(archive.namelist())]


def keep(target: Target, inputs: Iterable[bytes]) -> None:
    """Keep these inputs of a target, and no others."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in sorted((name_of(data), data) for data in set(inputs)):
            archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED, 9)
    FOLDER.mkdir(exist_ok=True)
    path_of(target).write_bytes(out.getvalue())


def name_of(data: bytes) -> str:
    """Return what an input is called: a digest of it."""
    return hashlib.sha256(data).hexdigest()[:12]


def fewest(inputs: dict[str, bytes], control: str) -> list[bytes]:
    """Return inputs that together reach every edge that all of them reach, the shortest first.

    ``control`` is what libFuzzer's merge wrote of the inputs, by their paths: the features that
    each has, of which eight are one edge.
    """
    lines = control.splitlines()
    paths = lines[2 : 2 + int(lines[0])]
    edges: dict[int, set[int]] = {}
    for line in lines[2 + len(paths) :]:
        kind, *numbers = line.split()
        if kind == "FT":
            edges[int(numbers[0])] = {int(n) // _BUCKETS for n in numbers[1:]}
    found: list[bytes] = []
    missing = set().union(*edges.values())
    while missing:
        best = max(edges, key=lambda n: (len(edges[n] & missing), -len(inputs[paths[n]]), -n))
        missing -= edges.pop(best)
        found.append(inputs[paths[best]])
    return found
