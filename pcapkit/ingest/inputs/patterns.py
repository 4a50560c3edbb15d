"""The inputs that a user names: patterns, each file once, and what is wrong at first sight.

Nothing heavy is imported here, so that a mistyped path is known at once.
"""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Sequence

from pcapkit.errors import EmptyInput, MissingInput
from pcapkit.ingest.inputs.formats import format_of
from pcapkit.ingest.inputs.source import open_source
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.text import file_names, is_url


def check_inputs(paths: Sequence[str], limits: Limits = DEFAULTS) -> bool:
    """Raise InputError, as reading them would, for inputs that are missing, empty or no captures.

    Pipes are left alone: what is read from one is gone. Returns whether packets may be in any of
    the inputs: all others hold lines.
    """
    inputs = distinct(expand_patterns(paths), [])
    empty: list[str] = []
    packets = False
    for path in inputs:
        if _is_pipe(path):
            packets = True
            continue
        try:
            with open_source(path, limits) as source:
                form = format_of(source)
                packets = packets or (form is not None and form.recognises is not None)
        except EmptyInput:
            if len(inputs) == 1:
                raise
            empty.append(path)
    if len(empty) == len(inputs):
        raise all_empty(empty)
    return packets


def _is_pipe(path: str) -> bool:
    """Is this there, and neither a file nor a folder?"""
    if path == "-":
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def all_empty(paths: Sequence[str]) -> EmptyInput:
    """Return what to raise where there are several inputs and nothing in any of them."""
    return EmptyInput(paths[0], f"all {len(paths)} inputs are empty", hint="did tcpdump run?")


def expand_patterns(paths: Sequence[str]) -> list[str]:
    """Replace glob patterns by the files that they match, numbers in names in numeric order.

    A path that exists is no pattern, whatever characters it has. Raises InputError where a pattern
    matches no file.
    """
    out = []
    for path in paths:
        if is_url(path):
            out += _remote(path)
            continue
        if path == "-" or os.path.lexists(path) or not glob.has_magic(path):
            out.append(path)
            continue
        matches = [m for m in glob.glob(path, recursive=True) if not os.path.isdir(m)]
        if not matches:
            raise MissingInput(path, "no file matches this pattern", hint="check the path")
        out += sorted(matches, key=_by_number)
    return out


def _remote(url: str) -> list[str]:
    from pcapkit.ingest.inputs.remote import is_pattern, matching

    if not is_pattern(url):
        return [url]
    if not (found := [file.url for file in matching(url)]):
        raise MissingInput(url, "nothing matches this pattern", hint="check the address")
    return sorted(found, key=_by_number)


def warn_of_files(paths: Sequence[str], what: str, warnings: list[str]) -> None:
    """Add one warning about any number of files, the first few of them named."""
    if paths:
        warnings.append(f"{file_names(paths)}: {what}")


def _by_number(path: str) -> list[tuple[int, str]]:
    """Sort ``c.pcap2`` before ``c.pcap10``: ``tcpdump -C`` does not pad its numbers."""
    parts = re.split(r"(\d+)", path)
    return [(int(p) if k % 2 else 0, p) for k, p in enumerate(parts)]


def distinct(paths: Sequence[str], warnings: list[str]) -> list[str]:
    """Leave out what was named before, also by another name of the same file."""
    out: dict[object, str] = {}
    again: dict[str, None] = {}
    for path in paths:
        key: object = path
        if path != "-" and os.path.exists(path):
            status = os.stat(path)
            key = (status.st_dev, status.st_ino)
        if key in out:
            again[path] = None
        out.setdefault(key, path)
    warn_of_files(list(again), "named more than once, read once", warnings)
    return list(out.values())
