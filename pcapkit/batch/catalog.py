"""Find captures by what is in them, never by how they are called."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pcapkit.errors import PcapkitError, UsageError
from pcapkit.ingest.inputs.formats import HEAD_BYTES, recognise
from pcapkit.ingest.inputs.source import open_source
from pcapkit.text import encodable

#: Files that call themselves captures are listed even where their content says otherwise.
_CALLED_CAPTURES = (".pcap", ".pcapng", ".cap", ".dmp")


@dataclass(frozen=True, slots=True)
class Found:
    """One file; ``error`` says why it cannot be analysed, None where it looks like a capture."""

    path: str
    error: str | None


def find_captures(paths: Sequence[str]) -> list[Found]:
    """Return the captures under files, folders and glob patterns, each once, in order of path.

    A file that is named itself, or whose name says that it is a capture, is listed even where it
    is none. Raises UsageError where a path does not exist, or no capture is found at all.
    """
    if not (found := _find(paths)):
        raise UsageError(f"no captures found under {', '.join(paths)}")
    return found


def _find(paths: Sequence[str]) -> list[Found]:
    out: dict[str, Found] = {}
    for path in paths:
        if os.path.isdir(path):
            for name in _walk(path):
                if (found := _found_at(name, named=False)) is not None:
                    out.setdefault(os.path.realpath(name), found)
            continue
        matches = sorted(glob.glob(path, recursive=True)) if not os.path.exists(path) else [path]
        if not matches:
            raise UsageError(f"{path}: no such file or folder")
        for name in matches:
            if os.path.isdir(name):
                for found in _find([name]):
                    out.setdefault(os.path.realpath(found.path), found)
            elif (found_file := _found_at(name, named=True)) is not None:
                out.setdefault(os.path.realpath(name), found_file)
    return sorted(out.values(), key=lambda f: f.path)


def _walk(folder: str) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        for name in sorted(files):
            path = os.path.join(root, name)
            if not name.startswith(".") and os.path.isfile(path):
                yield path


def _found_at(path: str, *, named: bool) -> Found | None:
    called = named or any(s in os.path.basename(path).lower() for s in _CALLED_CAPTURES)
    try:
        with open_source(path) as source:
            known = recognise(source.peek(HEAD_BYTES)) is not None
    except PcapkitError as problem:
        return Found(path, str(problem)) if called else None
    if known:
        return Found(path, None)
    return Found(path, f"{encodable(path)}: not a capture in any known format") if called else None
