"""The key of a map of pseudonyms, and the file that holds it."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from pcapkit.errors import InputError, UsageError

#: ipcrypt-pfx takes two AES-128 keys, the permutations of labels one of their own.
ADDRESS_BYTES, LABEL_BYTES = 32, 16
_HEX = re.compile(rf"[0-9a-fA-F]{{{2 * (ADDRESS_BYTES + LABEL_BYTES)}}}")


class Key(NamedTuple):
    """What the map of all pseudonyms follows from."""

    addresses: bytes  # 32
    labels: bytes  # 16


def key_of(secret: bytes) -> Key:
    """Return the key that 48 bytes are; UsageError where they are no key of ipcrypt-pfx."""
    first, second = secret[:16], secret[16:ADDRESS_BYTES]
    if first == second:
        raise UsageError("--key: the first 16 bytes must differ from the next 16")
    return Key(secret[:ADDRESS_BYTES], secret[ADDRESS_BYTES:])


def read_key(path: Path) -> Key:
    """Return the key in a file of 96 hexadecimal digits; raises InputError."""
    try:
        text = path.read_bytes().decode("ascii", "replace").strip()
    except OSError as problem:
        raise InputError(
            str(path), f"cannot be read: {problem.strerror}", hint="check the path"
        ) from None
    if not _HEX.fullmatch(text):
        raise InputError(
            str(path),
            "no key: it is 96 hexadecimal digits",
            hint="name a file that is not there, and a new key is written to it",
        )
    return key_of(bytes.fromhex(text))


def make_key(path: Path) -> Key:
    """Write a new key to a file that is not there yet, for its owner alone; raises InputError."""
    secret = os.urandom(ADDRESS_BYTES + LABEL_BYTES)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as out:
            out.write(secret.hex() + "\n")
    except FileExistsError:
        raise InputError(
            str(path), "is there already", hint="name it with --key to use it, or move it away"
        ) from None
    except OSError as problem:
        raise InputError(str(path), f"cannot be written: {problem.strerror}") from None
    return key_of(secret)


def key_in(path: Path) -> tuple[Key, bool]:
    """Return the key in a file, and whether it was made now as there was none.

    Raises UsageError, and makes none, where the library that uses it is not installed.
    """
    if find_spec("cryptography") is None:
        raise UsageError(
            "pseudonyms need the library cryptography: pip install 'pcapkit-dns[share]'"
        )
    if path.exists():
        return read_key(path), False
    return make_key(path), True
