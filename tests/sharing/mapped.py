"""An analysis mapped by a key, to be compared with that of the capture under the key."""

from __future__ import annotations

import json
import re
from typing import Any

from pcapkit.addresses import address_text, ip_or_none
from pcapkit.sharing.addresses import Addresses
from pcapkit.sharing.key import Key
from pcapkit.sharing.names import Names

#: What is of the file and no more; and sentences, in which any word may look like a label.
_OF_FILE = ("path", "capture", "bytes", "compression", "snaplen", "options", "pcapkit_version")
_SENTENCES = ("reasons", "patch", "patches", "action", "warnings", "title", "text")
_TOKEN = re.compile(
    r"[0-9a-f]{1,4}:[0-9a-f:.]*:[0-9a-f:.]*|[A-Za-z0-9_\-]+(?:[.:][A-Za-z0-9_\-]+)+|[A-Za-z0-9_\-]{2,}|::1"
)


class Mapped:
    """Maps the texts of an analysis."""

    def __init__(self, key: Key, words: set[str]) -> None:
        self.addresses = Addresses(key)
        self.names = Names(key, self.addresses)
        self.words = words

    def token(self, text: str) -> str:
        """Return what an address or a name becomes; other text as it is."""
        if text.startswith("drop:"):  # a setting, and the suffix that it is about
            return "drop:" + self.token(text.removeprefix("drop:"))
        if (address := ip_or_none(text)) is not None:
            return address_text(self.addresses.ip(address.packed))
        if text.lower() in self.words and not text.isdigit():
            labels = self.names.labels([p.encode() for p in text.lower().split(".")]).mapped
            return b".".join(labels).decode()
        return text

    def value(self, value: Any) -> Any:
        """Return a part of the JSON, mapped."""
        if isinstance(value, str):
            return _TOKEN.sub(lambda m: self.token(m[0]), value)
        if isinstance(value, list):
            return [self.value(v) for v in value]
        if isinstance(value, dict):
            return {self.value(k): self.value(v) for k, v in value.items()}
        return value


def words_of(names: list[str]) -> set[str]:
    """Return names with all that begins and ends them."""
    out = set()
    for name in names:
        labels = name.lower().rstrip(".").split(".")
        for first in range(len(labels)):
            for last in range(first, len(labels)):
                out.add(".".join(labels[first : last + 1]))
    return out


def comparable(value: Any) -> Any:
    """Return a part of the JSON without what is of the file, and with lists in an order of ours."""
    if isinstance(value, dict):
        return {k: comparable(v) for k, v in value.items() if k not in _OF_FILE + _SENTENCES}
    if isinstance(value, str):
        return " ".join(sorted(re.split(r"[\s,]+", value)))  # names that tie, in any order
    if isinstance(value, list):
        return sorted((comparable(v) for v in value), key=lambda v: json.dumps(v, sort_keys=True))
    return value
