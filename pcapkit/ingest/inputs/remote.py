"""What lies elsewhere: objects and files of s3, gs, abfs, sftp, https, listed and looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pcapkit.errors import InputError
from pcapkit.ingest.inputs.remote_calls import STORES, asked, called, scheme_of, system_of

#: Requests at one time: who asks waits for answers most of the time.
AT_ONCE = 16
#: How deep a web server's folders are looked into; its links may lead anywhere.
_MOST_FOLDERS = 32
_TAGS = ("ETag", "etag", "Last-Modified", "LastModified", "last_modified", "updated")


@dataclass(frozen=True, slots=True)
class Version:
    """What tells which version of an object this is; None where nothing does."""

    size: int | None
    tag: str | None
    mtime_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Remote:
    """One object, or one folder, by its URL."""

    url: str
    is_folder: bool
    version: Version


def version_of(info: dict[str, Any]) -> Version:
    """Return the version that a listing or a look-up tells of."""
    tag = next((info[key] for key in _TAGS if info.get(key)), None)
    if isinstance(tag, datetime):
        tag = tag.isoformat()
    changed = info.get("mtime")
    mtime_ns = int(changed.timestamp()) * 10**9 if isinstance(changed, datetime) else None
    size = info.get("size")
    return Version(size if isinstance(size, int) else None, tag and str(tag), mtime_ns)


def look_up(url: str) -> Remote:
    """Return what is at a URL; raises InputError where nothing is, or nobody answers."""

    def ask() -> Remote:
        system, path = system_of(url)
        web = scheme_of(url) in ("http", "https")
        if web and urlsplit(url).path.endswith("/"):
            return Remote(url, True, Version(None, None))
        if not web and not path.strip("/"):
            return Remote(url, True, Version(None, None))
        info = system.info(path)
        return Remote(url, info["type"] == "directory", version_of(info))

    return asked(url, ask)


def below(url: str) -> Iterator[Remote]:
    """Yield the files in a folder and in those below it, but for hidden ones.

    Raises InputError where it cannot be listed.
    """
    if scheme_of(url) in STORES:
        yield from _stored(url)
    else:
        yield from _walked(url, "", ())


def with_versions(files: Sequence[Remote]) -> list[Remote]:
    """Return files with their versions, also those of a server whose lists do not tell them.

    One that is not found any more stays without.
    """

    def seen(file: Remote) -> Remote:
        if file.version.size is not None or file.version.tag is not None:
            return file
        try:
            return look_up(file.url)
        except InputError:
            return file

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(seen, files))


def is_pattern(url: str) -> bool:
    """May a URL be a pattern? Behind a question mark, the web has something else."""
    web = scheme_of(url) in ("http", "https")
    return re.search(r"[*\[]", url.partition("?")[0] if web else url.replace("?", "*")) is not None


def matching(url: str) -> Iterator[Remote]:
    """Yield the files that a pattern matches: ``*`` within a name, ``**`` any folders."""
    found = re.search(r"[*\[]" if scheme_of(url).startswith("http") else r"[*?\[]", url)
    at = found.start() if found else len(url)
    base = url[: url.rindex("/", 0, at) + 1]
    look_up(base)  # has a shorter limit than a list
    wanted = _as_expression(url[len(base) :])
    files = _stored(base, url[len(base) : at]) if scheme_of(url) in STORES else below(base)
    for file in files:
        if wanted.fullmatch(file.url[len(base) :]):
            yield file


def _as_expression(pattern: str) -> re.Pattern[str]:
    """Return a shell's pattern as an expression; what matches a folder matches all in it."""
    out = ""
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[!?\]?[^\]]*\])", pattern):
        if part == "**/":
            out += "(?:.*/)?"
        elif part == "**":
            out += ".*"
        elif part == "*":
            out += "[^/]*"
        elif part == "?":
            out += "[^/]"
        elif part.startswith("[") and part.endswith("]") and len(part) > 2:
            inner = part[1:-1].replace("\\", r"\\").replace("[", r"\[")
            out += f"[{'^' + inner[1:] if inner.startswith('!') else inner}]"
        else:
            out += re.escape(part)
    return re.compile(f"{out}(?:/.*)?", re.S)


def _stored(url: str, prefix: str = "") -> list[Remote]:
    """Return the objects of a store under a prefix, all of their versions in few requests."""

    def ask() -> list[Remote]:
        system, path = system_of(url)
        root = path.rstrip("/")
        options = {"prefix": prefix} if prefix and scheme_of(url)[0] in "sg" else {}
        if not root:
            return []
        found = system.find(root, detail=True, **options)
        base = url.rstrip("/")
        out = []
        for name, info in sorted(found.items()):
            inside = name[len(root) :] if name.startswith(root) else ""
            if info["type"] == "file" and inside.startswith("/") and not _is_hidden(inside):
                out.append(Remote(base + inside, False, version_of(info)))
        return out

    return called(url, ask)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _walked(url: str, inside: str, above: tuple[frozenset[str], ...]) -> Iterator[Remote]:
    """Yield the files in a folder of a host, folder by folder.

    ``above`` are the names in those that it lies in: one that holds the same is one of them again,
    by a link. Links to folders are not followed where they can be told.
    """
    base = url.rstrip("/") + inside
    web = scheme_of(url) in ("http", "https")
    found = asked(base, lambda: _listed(f"{base}/", web))
    names = frozenset(found)
    if names in above or len(above) > _MOST_FOLDERS:
        return
    for name, info in sorted(found.items()):
        if info["type"] == "directory" and not info.get("link"):
            yield from _walked(url, f"{inside}/{name}", (*above, names))
        elif info["type"] == "file":
            yield Remote(f"{base}/{name}", False, version_of(info))


def _listed(folder: str, web: bool) -> dict[str, dict[str, Any]]:
    """Return what is in a folder of a host by its name, but for what is hidden."""
    system, path = system_of(folder)
    out = {}
    for info in system.ls(path if web else path.rstrip("/") or "/", detail=True):
        place = str(info["name"])
        if web and (not place.startswith(path) or "?" in place or "#" in place):
            continue  # a link that leads elsewhere, or sorts the page
        name = place.rstrip("/").rpartition("/")[2]
        if not name or name.startswith("."):
            continue
        if info["type"] == "link":
            with suppress(Exception):  # one that leads nowhere
                info |= {**system.info(place), "link": True}
        out[name] = info
    return out
