"""Find captures by what is in them, never by how they are called."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from pcapkit.batch.finding.failures import kind_of
from pcapkit.batch.finding.looks import Look, Looks
from pcapkit.batch.finding.places import Place, Places, listed_in, shown_all
from pcapkit.batch.finding.sets import Member, sets_of
from pcapkit.batch.finding.shares import settle
from pcapkit.errors import InputError, PcapkitError, UsageError
from pcapkit.ingest.inputs.formats import HEAD_BYTES, format_of, recognise
from pcapkit.ingest.inputs.recognise import is_tally
from pcapkit.ingest.inputs.source import open_source
from pcapkit.limits import DEFAULTS, Limits
from pcapkit.model.audits import Identity
from pcapkit.text import is_url, shown_path

#: Files that call themselves captures are listed even where their content says otherwise: also
#: those that were numbered or compressed since.
_CALLED_CAPTURE = re.compile(
    r"\.(?:pcap|pcapng|cap|dmp)\d*(?:[.-]\d+)*(?:\.(?:gz|zst|zstd|xz|bz2|lz4))?\Z", re.IGNORECASE
)
#: What of a look depends on the bytes alone, so that nobody looks again.
#: What the look at a tally says.
_TALLY = "tally"
_LASTING = ("empty", "not-a-capture", "damaged")


@dataclass(frozen=True, slots=True)
class Item:
    """What is analysed as one capture: a file, an object, or a set of rotated files.

    ``paths`` are what is shown and kept of it: of URLs without passwords and signatures. Those of a
    set stand in the order of their first packets. ``sources`` are the same, to be opened and
    nothing else. ``identities`` are theirs, None where there is none. ``error`` says why it cannot
    be analysed, ``error_kind`` in one word of ``failures.WORDS``.
    """

    paths: tuple[str, ...]
    sources: tuple[str, ...] = field(repr=False)
    identities: tuple[Identity | None, ...]
    error: str | None = None
    error_kind: str | None = None
    of_tally: bool = False  #: its source is a tally, and its paths those of the captures in it

    @property
    def path(self) -> str:
        """The first of its paths."""
        return self.paths[0]

    @property
    def size(self) -> int:
        """Bytes as stored, as far as they are known."""
        return sum(i.size for i in self.identities if i is not None)


def find_items(
    paths: Sequence[str],
    *,
    sets: bool = True,
    from_file: str | None = None,
    skip: Path | None = None,
    looks: Looks | None = None,
    limits: Limits = DEFAULTS,
    say: Callable[[str], None] = lambda text: None,
) -> list[Item]:
    """Return the captures under files, folders, patterns and URLs, each once, in order of path.

    ``from_file`` names a file with more paths, one a line, or ``-`` for standard input. ``skip`` is
    the output folder: what lies in it is no input. With ``sets``, rotated files that are one
    capture are one item. ``looks`` are those of an earlier run; new ones are added. ``limits`` say
    how often a file may be compressed. ``say`` gets
    one line for each thing that a reader may wonder about.

    A file that is named itself, or whose name says that it is a capture, is listed even where it
    cannot be read. Raises UsageError where nothing is found at all.
    """
    named = [*paths, *(listed_in(from_file) if from_file is not None else ())]
    usual = limits.compression_layers == DEFAULTS.compression_layers
    known = looks if looks is not None and usual else Looks()  # kept ones rest on the usual limit
    places = Places(skip)
    found = _distinct(places.all_behind(named), say)
    seen = _look_at(found, known, limits)
    captures = [(p, look) for p, look in zip(found, seen, strict=True) if look.format is not None]
    failed = [_failed(p, look) for p, look in zip(found, seen, strict=True) if _is_row(p, look)]
    if not captures and not (failed and places.any_there):
        problems = [item.error for item in failed if item.error]
        raise UsageError(problems[0] if len(problems) == 1 else _nothing(named, problems))
    unseen = [p.path for p, look in zip(found, seen, strict=True) if _is_unseen(p, look)]
    if unseen:
        say(f"not looked at, for there is no permission: {shown_all(unseen)}")
    told, missing = settle([p for p, look in captures if look.format == _TALLY], say)
    tallies = _each_once([_of_tally(place) for place in told])
    failed += [Item(f.paths, (), (), f.error, "missing") for f in missing]
    members = [
        Member(shown_path(p.path), p.path, p.identity, look)
        for p, look in captures
        if look.format != _TALLY
    ]
    together = sets_of(members, known) if sets else [[member] for member in members]
    for group in together:
        if len(group) > 1:
            names = shown_all([member.path for member in group])
            say(f"{len(group)} files read as one capture: {names} (--no-sets keeps them apart)")
    items = [
        Item(
            tuple(m.path for m in group),
            tuple(m.source for m in group),
            tuple(m.identity for m in group),
        )
        for group in together
    ]
    return sorted([*items, *tallies, *failed], key=lambda item: item.paths)


def _of_tally(place: Place) -> Item:
    """Return the captures in a tally as an item."""
    source = (place.path,), (place.identity,)
    try:
        if is_url(place.path):
            problem = "tallies are read from files: copy it here, or mount where it lies"
            raise InputError(place.path, problem)
        from pcapkit.ingest.tallies.file import inside

        paths, failure = inside(place.path)
    except PcapkitError as problem:
        return Item((shown_path(place.path),), *source, str(problem), kind_of(problem))
    if failure is not None:
        return Item(paths, *source, failure.error, failure.kind)
    return Item(paths, *source, of_tally=True)


def _each_once(items: Sequence[Item]) -> list[Item]:
    """Return items of tallies; captures that are in several of them are failures."""
    of: dict[tuple[str, ...], list[Item]] = {}
    for item in items:
        of.setdefault(item.paths, []).append(item)
    out = []
    for paths, same in of.items():
        if len(same) > 1:
            files = shown_all([shown_path(source) for i in same for source in i.sources])
            problem = (
                f"{paths[0]}: in several tallies: {files} (remove those that are old; 'pcapkit "
                "merge --join' makes one of parts)"
            )
            out.append(replace(same[0], error=problem, error_kind="options", of_tally=False))
        else:
            out += same
    return out


def _nothing(named: Sequence[str], problems: Sequence[str]) -> str:
    first = f"; {problems[0]}" if problems else ""
    return f"no captures found under {shown_all(named)}{first}"


def _distinct(places: list[Place], say: Callable[[str], None]) -> list[Place]:
    """Return each file once: by the name that is no link, then by the first in order."""
    out: dict[object, Place] = {}
    again: list[str] = []
    for place in sorted(places, key=lambda p: (p.linked, p.path, not p.named)):
        identity = place.identity
        key: object = place.path
        if identity is not None and identity.inode is not None:
            key = (identity.device, identity.inode)
        if (first := out.setdefault(key, place)) is not place and first.path != place.path:
            if os.path.normpath(first.path) != os.path.normpath(place.path):
                again.append(place.path)
    if again:
        what = "another name of a file" if len(again) == 1 else "other names of files"
        say(f"{what} that is read once: {shown_all(again)}")
    return sorted(out.values(), key=lambda p: p.path)


def _look_at(places: Sequence[Place], looks: Looks, limits: Limits) -> list[Look]:
    """Return a look at each file: that of an earlier run, where nothing has changed since."""
    out: list[Look | None] = []
    for place in places:
        if place.error is not None:
            out.append(Look(None, place.error, place.error_kind))
            continue
        held = looks.get(shown_path(place.path), place.identity)
        out.append(None if held is not None and place.named and held.format is None else held)
    missing = [k for k, look in enumerate(out) if look is None]
    remote = [k for k in missing if is_url(places[k].path)]
    if remote:
        from pcapkit.ingest.inputs.remote import AT_ONCE

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for k, look in zip(
                remote, pool.map(lambda k: _look(places[k], limits), remote), strict=True
            ):
                out[k] = look
    for k in missing:
        place = places[k]
        look = out[k] or _look(place, limits)
        out[k] = look
        if look.error_kind is None or look.error_kind in _LASTING:
            looks.put(shown_path(place.path), place.identity, look)
    return [look for look in out if look is not None]


def _look(place: Place, limits: Limits) -> Look:
    """Look into a file: thoroughly where it should be a capture, else at its beginning."""
    try:
        with open_source(place.path, limits) as source:
            if is_tally(source.peek(HEAD_BYTES)):
                return Look(_TALLY)
            if place.named or _is_called_capture(place.path):
                form = format_of(source)
                return Look("text" if form is None else form.name)
            found = recognise(source.peek(HEAD_BYTES))
            return Look(None if found is None else found.name)
    except PcapkitError as problem:
        return Look(None, str(problem), kind_of(problem))
    except OSError as problem:
        error = InputError(place.path, f"cannot be read: {problem.strerror}")
        return Look(None, str(error), kind_of(error))


def _is_called_capture(path: str) -> bool:
    name = shown_path(path).partition("?")[0] if is_url(path) else path
    return _CALLED_CAPTURE.search(os.path.basename(name)) is not None


def _is_row(place: Place, look: Look) -> bool:
    """Must the reader be told of this file, of which nothing can be analysed?"""
    if look.error is None:
        return False
    trouble = look.error_kind not in (*_LASTING, "permission", "missing")
    return place.named or _is_called_capture(place.path) or trouble


def _is_unseen(place: Place, look: Look) -> bool:
    return look.error_kind == "permission" and not _is_row(place, look)


def _failed(place: Place, look: Look) -> Item:
    return Item(
        (shown_path(place.path),), (place.path,), (place.identity,), look.error, look.error_kind
    )
