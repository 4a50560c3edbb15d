"""Text that can be written in UTF-8, whatever it was made from."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

#: What stands in Python's text for the bytes of a path that are no UTF-8 (PEP 383), and what JSON
#: can name though it is no character.
_SURROGATES = re.compile("[\ud800-\udfff]")


def encodable(text: str) -> str:
    r"""Return text without surrogates: a path's byte that is no text becomes ``\xe9``.

    A path goes through this where it becomes a part of what is said, not where it is opened.
    """
    return _SURROGATES.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def characters_in_json(text: str) -> int:
    """Return how many characters a printable text has where JSON writes it."""
    return len(text) + text.count("\\") + text.count('"')


#: A path that is the URL of something remote.
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+)://(?P<place>[^/]*)(?P<rest>.*)", re.I | re.S)
_PORT = re.compile(r"\d*")
_VALUE = re.compile(r"=[^&;]*")


def is_url(path: str) -> bool:
    """Is this the URL of something remote, and no path here?"""
    return _URL.fullmatch(path) is not None and not os.path.lexists(path)


def shown_path(path: str) -> str:
    """Return a path as it may be shown and kept: a URL without what its owner keeps secret.

    Passwords are left out, and over HTTP user names too, which may be tokens. So are the values
    behind a question mark, where signatures stand.
    """
    found = _URL.fullmatch(path)
    if found is None:
        return encodable(path)
    scheme, place, rest = found["scheme"], found["place"], found["rest"]
    web = scheme.lower() in ("http", "https")
    if "@" in rest and not _PORT.fullmatch(place.rpartition(":")[2] if ":" in place else ""):
        return f"{scheme}://\N{HORIZONTAL ELLIPSIS}"  # there is a slash within a password
    user, at, host = place.rpartition("@")
    user = "" if web else user.partition(":")[0]
    if web:
        rest, mark, query = rest.partition("#")[0].partition("?")
        rest += mark + _VALUE.sub("=\N{HORIZONTAL ELLIPSIS}", query)
        if mark and "=" not in query:
            rest = rest.partition("?")[0] + "?\N{HORIZONTAL ELLIPSIS}"
    return encodable(f"{scheme}://{user}{'@' if user else ''}{host}{rest}")


#: Files that a message names one by one.
_NAMED = 3


def file_names(paths: Sequence[str]) -> str:
    """Name any number of files, all but the first few by their number."""
    more = f" and {len(paths) - _NAMED} more files" if len(paths) > _NAMED else ""
    return f"{', '.join(map(shown_path, paths[:_NAMED]))}{more}"
