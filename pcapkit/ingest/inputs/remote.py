"""Objects and files that lie elsewhere: s3, gs, abfs, sftp, https, through fsspec.

fsspec and what it needs are imported when a URL was given, and not before. Every call has a time
limit, an object is read in bounded pieces, and an error says what is to be set, never a secret.
"""

from __future__ import annotations

import io
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pcapkit.errors import ChangedInput, InputError, PcapkitError, UnreachableInput, UsageError
from pcapkit.ingest.inputs.remote_errors import explained
from pcapkit.text import shown_path

T = TypeVar("T")

SCHEMES = (
    *("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl"),
    *("sftp", "ssh", "http", "https"),
)
#: Stores in which an object is replaced as a whole, and never grows.
_STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl")
#: Seconds until a host must have answered, and how long an answer may take.
_CONNECT_S, _ANSWER_S = 10, 30
#: Bytes asked for at once: few for who looks at the beginning only, more for who reads on.
_FIRST_PIECE, _MOST_PIECE = 1 << 16, 8 << 20
_TRIES = 3
_TALKATIVE = ("fsspec", "s3fs", "gcsfs", "adlfs", "asyncssh", "azure", "google", "botocore")
#: Requests at one time: who asks waits for answers most of the time.
AT_ONCE = 16
#: A listing takes many requests: so many times the limit of one.
_LIST_PATIENCE = 20
#: How deep a web server's folders are looked into; its links may lead anywhere.
_MOST_FOLDERS = 32
#: Bytes at the beginning by which a file is known again.
_HEAD = 4096
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


def scheme_of(url: str) -> str:
    """Return the scheme of a URL; UsageError where it is none that is read."""
    scheme = url.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise UsageError(f"{shown_path(url)}: {scheme}:// is not read, but {', '.join(SCHEMES)}")
    return scheme


def answer_limit() -> float:
    """Return the seconds that any answer may take: PCAPKIT_REMOTE_TIMEOUT, else 30."""
    text = os.environ.get("PCAPKIT_REMOTE_TIMEOUT", "")
    try:
        return max(float(text), 0.1) if text else _ANSWER_S
    except ValueError:
        raise UsageError(f"PCAPKIT_REMOTE_TIMEOUT={text}: is no number of seconds") from None


class _Call(threading.Thread, Generic[T]):
    """A call in a thread of its own, which nobody has to wait for."""

    def __init__(self, work: Callable[[], T]) -> None:
        super().__init__(name="pcapkit-remote", daemon=True)
        self._work = work
        self._result: T
        self._problem: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Keep what the call returns, or raises."""
        try:
            self._result = self._work()
        except BaseException as problem:  # to be raised where it is waited for
            self._problem = problem

    def result(self, url: str, *, patience: int = 1) -> T:
        """Wait for what it returns; raises InputError where it fails, or takes too long."""
        limit = answer_limit() * patience
        self.join(limit)
        if self.is_alive():
            raise UnreachableInput(
                url, f"no answer within {limit:g} s", hint="or allow PCAPKIT_REMOTE_TIMEOUT more"
            )
        if self._problem is not None:
            raise explained(url, self._problem) from None
        return self._result


def _asked(url: str, work: Callable[[], T]) -> T:
    """Return what a call returns; raises InputError where it fails, or takes too long."""
    return _Call(work).result(url)


_systems: dict[tuple[object, ...], Any] = {}


def _forget(url: str) -> None:
    """Connect anew the next time."""
    place = urlsplit(url).netloc
    for key in [k for k in _systems if k[-1] == place]:
        _systems.pop(key, None)


def _system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, one for all URLs of a host, and the path in it."""
    scheme, rest = scheme_of(url), url.partition("://")[2]
    for library in _TALKATIVE:  # what they would print is said by us, without secrets
        logging.getLogger(library).addHandler(logging.NullHandler())
    if scheme in ("http", "https"):
        return _kept(("http",), _http), _web_url(url)
    if scheme in ("s3", "s3a"):
        return _kept(("s3",), _s3), rest
    key = (scheme, urlsplit(url).netloc)
    if scheme in ("sftp", "ssh"):
        path = rest.partition("/")[2]
        path = (path[2:] or ".") if path.startswith("~/") else f"/{path}"
        return _kept(key, lambda: _sftp(url)), path
    if scheme in ("gs", "gcs"):
        return _kept(("gs",), _google), rest
    system = _kept(key, lambda: _store(url))
    return system, str(system._strip_protocol(url))


def _kept(key: tuple[str, ...], make: Callable[[], Any]) -> Any:
    whose = (os.getpid(), *key)
    if whose not in _systems:
        _systems[whose] = make()
    return _systems[whose]


def _web_url(url: str) -> str:
    """Return a URL whose characters may all stand in one."""
    return quote(url.partition("#")[0], safe="%/:?[]@!$&'()*+,;=~-._")


def _http() -> Any:
    import aiohttp
    from fsspec.implementations.http import HTTPFileSystem

    limit = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=answer_limit())
    return HTTPFileSystem(
        encoded=True,
        simple_links=False,
        client_kwargs={"timeout": limit, "trust_env": True},
        headers={"Accept-Encoding": "identity"},
        skip_instance_cache=True,
    )


def _s3() -> Any:
    from s3fs import S3FileSystem

    return S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


def _store(url: str) -> Any:
    from fsspec.core import url_to_fs

    return url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)[0]


def _google() -> Any:
    """Return Google's store, for the credentials that there are, or for anybody."""
    from gcsfs.core import GCSFileSystem  # the plain one: another asks for the bucket's type first
    from google.auth import default
    from google.auth.exceptions import DefaultCredentialsError

    token = "google_default"
    try:
        default()
    except DefaultCredentialsError:
        token = "anon"
    return GCSFileSystem(token=token, use_listings_cache=False, skip_instance_cache=True)


def _sftp(url: str) -> Any:
    from sshfs import SSHFileSystem

    parts = urlsplit(url)
    options: dict[str, Any] = {"known_hosts": (), "connect_timeout": _CONNECT_S}
    if parts.port is not None:
        options["port"] = parts.port
    if parts.username:
        options["username"] = unquote(parts.username)
    if parts.password:
        options["password"] = unquote(parts.password)
    return SSHFileSystem(
        parts.hostname or "",
        login_timeout=answer_limit(),
        sftp_client_kwargs={"path_errors": "surrogateescape"},
        skip_instance_cache=True,
        **options,
    )


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

    def asked() -> Remote:
        system, path = _system(url)
        web = scheme_of(url) in ("http", "https")
        if web and urlsplit(url).path.endswith("/"):
            return Remote(url, True, Version(None, None))
        if not web and not path.strip("/"):
            return Remote(url, True, Version(None, None))
        info = system.info(path)
        return Remote(url, info["type"] == "directory", version_of(info))

    return _asked(url, asked)


def below(url: str) -> Iterator[Remote]:
    """Yield the files in a folder and in those below it, but for hidden ones.

    Raises InputError where it cannot be listed.
    """
    if scheme_of(url) in _STORES:
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
    files = _stored(base, url[len(base) : at]) if scheme_of(url) in _STORES else below(base)
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

    def asked() -> list[Remote]:
        system, path = _system(url)
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

    return _Call(asked).result(url, patience=_LIST_PATIENCE)


def _is_hidden(path: str) -> bool:
    return any(part.startswith(".") for part in path.split("/"))


def _walked(url: str, inside: str, above: tuple[frozenset[str], ...]) -> Iterator[Remote]:
    """Yield the files in a folder of a host, folder by folder.

    ``above`` are the names in those that it lies in: one that holds the same is one of them again,
    by a link. Links to folders are not followed where they can be told.
    """
    base = url.rstrip("/") + inside
    web = scheme_of(url) in ("http", "https")
    found = _asked(base, lambda: _listed(f"{base}/", web))
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
    system, path = _system(folder)
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


class RemoteFile(io.RawIOBase):
    """An object that is read from its beginning to its end, in pieces.

    While a piece is worked on, the next one comes. Where a server gives no pieces, one request
    brings all, of which no more is in memory than a piece.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        found = look_up(url)
        if found.is_folder:
            raise InputError(url, "is a folder", hint="use 'pcapkit audit' for folders")
        self.version = found.version
        self._file: Any = None
        self._streams = self.version.size is None
        self._at = 0  # of the next piece to be asked for
        self._size = _FIRST_PIECE
        self._coming: _Call[bytes] | None = None
        self._piece = memoryview(b"")
        self._head: bytes | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece:
            self._piece = memoryview(self._next())
            if self._head is None:
                self._head = bytes(self._piece[:_HEAD])
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def _next(self) -> bytes:
        first = self._head is None
        left = self._left()
        if self._coming is None and left == 0:
            return b""
        call = self._coming or self._ask()
        for attempt in range(_TRIES):
            try:
                piece = call.result(self._url)
                break
            except UnreachableInput:
                if attempt + 1 == _TRIES or self._streams or call.is_alive():
                    raise
                time.sleep(0.2 * 4**attempt)
                self._file = None
                _forget(self._url)
                call = self._ask()
        self._coming = None
        if self.version.size is not None and len(piece) < min(self._size, left or 0):
            raise ChangedInput(self._url, "became shorter while it was read")
        self._at += len(piece)
        if not first and piece:
            self._size = min(8 * self._size, _MOST_PIECE)
            if self._left() != 0:
                self._coming = self._ask()
        return piece

    def _left(self) -> int | None:
        return None if self.version.size is None else self.version.size - self._at

    def _ask(self) -> _Call[bytes]:
        start, size, left = self._at, self._size, self._left()
        return _Call(lambda: self._fetch(start, size if left is None else min(size, left)))

    def _fetch(self, start: int, size: int) -> bytes:
        if not self._streams:
            try:
                if self._file is None:
                    self._file = _opened(self._url)
                self._file.seek(start)
                return bytes(self._file.read(size))
            except ValueError as problem:
                if "range" not in str(problem):
                    raise
                self._file, self._streams = None, True
        if self._file is None:
            system, path = _system(self._url)
            self._file = system.open(path, "rb", block_size=0)
            for skipped in range(0, start, _MOST_PIECE):
                _read_all(self._file, min(_MOST_PIECE, start - skipped))
        return _read_all(self._file, size)

    def change(self) -> str | None:
        """Return what has changed at the far end since this was opened; None: nothing.

        Raises ChangedInput where what was read may be of two versions, and InputError where the
        far end does not answer any more.
        """
        now = look_up(self._url).version
        if now == self.version:
            return None
        grown = (now.size or 0) >= (self.version.size or 0) and scheme_of(self._url) not in _STORES
        if grown and RemoteFile(self._url).head() == self._head:
            return "was still being written while it was read; analysed up to what was there"
        raise ChangedInput(self._url, "was written over while it was read", hint="read it again")

    def head(self) -> bytes:
        """Return its first bytes."""
        out = bytearray(_HEAD)
        got = self.readinto(out)
        self.close()
        return bytes(out[:got])

    def close(self) -> None:
        """Close it at both ends."""
        if not self.closed and self._file is not None:
            file, self._file = self._file, None
            _Call(file.close)
        super().close()


def _opened(url: str) -> Any:
    system, path = _system(url)
    if scheme_of(url) in ("sftp", "ssh"):
        return system.open(path, "rb")
    return system.open(path, "rb", block_size=_MOST_PIECE, cache_type="none")


def _read_all(file: Any, size: int) -> bytes:
    """Read ``size`` bytes, or what is left."""
    out = bytearray()
    while len(out) < size and (part := file.read(size - len(out))):
        out += part
    return bytes(out)


def tail_of(url: str, version: Version, size: int) -> bytes | None:
    """Return the last bytes of an object, None where its server gives no pieces."""
    if version.size is None:
        return None
    start = max(version.size - size, 0)

    def asked() -> bytes:
        file = _opened(url)
        try:
            file.seek(start)
            return bytes(file.read(size))
        finally:
            file.close()

    try:
        return _asked(url, asked)
    except PcapkitError:
        return None
