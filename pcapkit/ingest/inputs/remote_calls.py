"""Calls to where objects lie, through fsspec: each store set up once, each call with a time limit.

fsspec and what it needs are imported when a URL was given, and not before. An error says what is to
be set, never a secret.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar
from urllib.parse import quote, unquote, urlsplit

from pcapkit.errors import UnreachableInput, UsageError
from pcapkit.ingest.inputs.remote_errors import explained
from pcapkit.text import shown_path

T = TypeVar("T")

#: Stores in which an object is replaced as a whole, and never grows.
STORES = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl")
SCHEMES = (*STORES, "sftp", "ssh", "http", "https")
#: Seconds until a host must have answered, and how long an answer may take.
_CONNECT_S, _ANSWER_S = 10, 30
_TALKATIVE = ("fsspec", "s3fs", "gcsfs", "adlfs", "asyncssh", "azure", "google", "botocore")
#: A listing takes many requests: so many times the limit of one.
_LIST_PATIENCE = 20


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


class Call(threading.Thread, Generic[T]):
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


def asked(url: str, work: Callable[[], T]) -> T:
    """Return what a call returns; raises InputError where it fails, or takes too long."""
    return Call(work).result(url)


_systems: dict[tuple[object, ...], Any] = {}


def forget(url: str) -> None:
    """Connect anew the next time."""
    place = urlsplit(url).netloc
    for key in [k for k in _systems if k[-1] == place]:
        _systems.pop(key, None)


def system_of(url: str) -> tuple[Any, str]:
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


def file_system(url: str) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it; raises InputError."""
    return asked(url, lambda: system_of(url))


def called(url: str, work: Callable[[], T]) -> T:
    """Return what a call of a file system returns; raises InputError, after a time limit too."""
    return Call(work).result(url, patience=_LIST_PATIENCE)
