"""A folder of manifests, read once: its files of YAML, in the order of their paths.

Symbolic links are not followed: what one leads to inside the folder is read where it stands, and
what lies outside is nobody's to change. What is no YAML is named and left alone.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pcapkit.errors import InputError
from pcapkit.manifests.documents import Document, Unreadable, read_documents, without_collector
from pcapkit.words import some

SUFFIXES = (".yaml", ".yml", ".json")
#: A larger file is no manifest that somebody wrote.
MOST_BYTES = 8 << 20
MOST_FILES = 20_000


@dataclass(frozen=True)
class SourceFile:
    """One file as it was read; ``path`` is relative to the folder, with slashes.

    ``template`` marks what holds ``{{ }}`` and is no YAML until it is rendered.
    """

    path: str
    data: bytes = field(repr=False)
    text: str = field(repr=False)
    documents: tuple[Document, ...] = field(repr=False)
    template: bool = False

    @property
    def folder(self) -> str:
        """The folder it lies in, relative to the folder of all."""
        return PurePosixPath(self.path).parent.as_posix()

    @property
    def name(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Tree:
    """The files of a folder by path, and what had to be left out."""

    folder: Path
    files: dict[str, SourceFile]
    notes: tuple[str, ...]

    def exactly(self, paths: Collection[str]) -> Tree:
        """Return the same with some files as the composer reads them, or without them."""
        files, notes = dict(self.files), list(self.notes)
        for path in sorted(paths):
            try:
                documents = tuple(read_documents(files[path].text, exact=True))
            except Unreadable as problem:
                del files[path]
                notes.append(_left_alone(path, problem))
                continue
            files[path] = replace(files[path], documents=documents)
        return replace(self, files=files, notes=tuple(notes))


def read_tree(folder: Path) -> Tree:
    """Read the manifests below a folder. Raises InputError where it is none, or holds none."""
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "no such folder"
        raise InputError(str(folder), what, hint="give the folder of your manifests")
    files: dict[str, SourceFile] = {}
    notes: list[str] = []
    outside = Path(os.path.realpath(folder))
    with without_collector():
        for path in _found(folder, outside, notes):
            relative = path.relative_to(folder).as_posix()
            if len(files) >= MOST_FILES:
                notes.append(f"more than {MOST_FILES:,} files: the rest is not read")
                break
            if (file := _read(path, relative, notes)) is not None:
                files[relative] = file
    if templates := [f.path for f in files.values() if f.template]:
        notes.append(f"templates ({{{{ }}}}), which are no YAML and left alone: {some(templates)}")
    if not files:
        raise InputError(
            str(folder),
            "there are no manifests in it" + (f" that can be used: {notes[0]}" if notes else ""),
            hint="give the folder of your YAML files",
        )
    return Tree(folder, files, tuple(notes))


def _left_alone(path: str, problem: Unreadable) -> str:
    at = f" line {problem.line}:" if problem.line else ""
    return f"{path}:{at} {problem.problem}; it is left alone"


def _found(folder: Path, inside: Path, notes: list[str]) -> Iterator[Path]:
    """Yield the files of manifests below a folder, hidden folders and links left out."""
    try:
        found = sorted(os.scandir(folder), key=lambda e: os.fsencode(e.name))
    except OSError as problem:
        notes.append(f"{folder}: cannot be read: {problem.strerror}")
        return
    for one in found:
        path = Path(one.path)
        wanted = one.name.lower().endswith(SUFFIXES) or one.name == "Kustomization"
        if one.is_symlink():
            target = Path(os.path.realpath(path))
            if not target.is_relative_to(inside) and (wanted or target.is_dir()):
                notes.append(f"{path}: a symbolic link out of the folder, which is not followed")
        elif one.is_dir(follow_symlinks=False):
            if not one.name.startswith(".") and one.name != "node_modules":
                yield from _found(path, inside, notes)
        elif wanted and one.is_file(follow_symlinks=False):
            yield path


def _read(path: Path, relative: str, notes: list[str]) -> SourceFile | None:
    if any(ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 for c in relative):
        notes.append(f"{relative}: a name with characters that no diff can hold; it is left alone")
        return None
    try:
        if path.stat().st_size > MOST_BYTES:
            notes.append(f"{relative}: larger than {MOST_BYTES >> 20} MiB; it is left alone")
            return None
        data = path.read_bytes()
    except OSError as problem:
        notes.append(f"{relative}: cannot be read: {problem.strerror}")
        return None
    if relative.endswith(".json") and b'"apiVersion"' not in data:
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        notes.append(f"{relative}: byte {problem.start} is no UTF-8; it is left alone")
        return None
    try:
        documents = tuple(read_documents(text))
    except Unreadable as problem:
        if "{{" in text:
            return SourceFile(relative, data, text, (), template=True)
        notes.append(_left_alone(relative, problem))
        return None
    return SourceFile(relative, data, text, documents)
