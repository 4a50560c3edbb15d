"""Domain names as text and as wire bytes (RFC 1035 sections 3.1, 4.1.4 and 5.1; RFC 4343).

Wire form here is uncompressed: length-prefixed labels and the root's zero byte. Text form is RFC
1035 presentation: a dot between labels, ``\\.`` and ``\\\\`` for those bytes inside a label,
``\\DDD`` (decimal) for bytes that do not print. No final dot unless a function says so; the root
name is ``.``.
"""

from __future__ import annotations

import re

MAX_NAME_BYTES = 255  #: RFC 1035 section 2.3.4, with length bytes and the root's
MAX_LABEL_BYTES = 63
#: With this ends the last label of what is there of a name that a capture cut: an ellipsis, UTF-8.
CUT_LABEL = b"\xe2\x80\xa6"
#: The name of a question that cannot be read: no name, since none has a byte behind its root. It is
#: shown as no text at all.
UNKNOWN_NAME = b"\0\0"
#: Bytes of a label that are shown as they are.
PLAIN = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_/*+:=@!#$%&'<>?[]^`{|}~,"
)
_UNUSUAL = re.compile(b"[^" + re.escape(bytes(sorted(PLAIN))) + b"]")
_ESCAPED = {byte: f"\\{chr(byte)}" for byte in b'."();\\'}
_TEXT = [chr(b) if b in PLAIN else _ESCAPED.get(b, f"\\{b:03d}") for b in range(256)]
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?")


def text_from_wire(wire: bytes) -> str:
    """Return the presentation form of an uncompressed wire name.

    A name that ends before its root byte is shown as far as it goes, one that a capture cut with an
    ellipsis at its end. UNKNOWN_NAME has no text.
    """
    labels = []
    at = 0
    while at < len(wire) and wire[at]:
        length = wire[at]
        label = wire[at + 1 : at + 1 + length]
        if _UNUSUAL.search(label):
            cut = label.endswith(CUT_LABEL) and wire[at + 1 + length :] == b"\0"
            shown = label.removesuffix(CUT_LABEL) if cut else label
            labels.append("".join([_TEXT[b] for b in shown]) + ("\u2026" if cut else ""))
        else:
            labels.append(label.decode("ascii"))
        at += 1 + length
    if not labels:
        return "" if wire == UNKNOWN_NAME else "."
    return ".".join(labels)


def presentation(text: str) -> str:
    """Return a name in presentation form as it is written, whatever stands in it unescaped.

    A final dot stays. Raises ValueError where it is no domain name.
    """
    shown = text_from_wire(wire_from_text(text))
    return f"{shown}." if text.endswith(".") and shown != "." else shown


def wire_from_text(text: str) -> bytes:
    """Return the wire form of a name in presentation form, with or without its final dot.

    Raises ValueError where a label is empty or over 63 bytes, or the name over 255 bytes.
    """
    if text in ("", "."):
        return b"\0"
    wire = bytearray()
    label = bytearray()
    raw = text.encode("utf-8", "surrogateescape")
    at = 0
    while at <= len(raw):
        if at == len(raw) or raw[at] == 0x2E:
            if at == len(raw) and not label and raw.endswith(b"."):
                break
            if not label or len(label) > MAX_LABEL_BYTES:
                raise ValueError(f"bad label in name {text!r}")
            wire.append(len(label))
            wire += label
            label.clear()
            at += 1
        elif raw[at] == 0x5C and raw[at + 1 : at + 4].isdigit() and len(raw) >= at + 4:
            if (value := int(raw[at + 1 : at + 4])) > 255:
                raise ValueError(f"bad escape in name {text!r}")
            label.append(value)
            at += 4
        elif raw[at] == 0x5C and at + 1 < len(raw):
            label.append(raw[at + 1])
            at += 2
        else:
            label.append(raw[at])
            at += 1
    if len(wire) + 1 > MAX_NAME_BYTES:
        raise ValueError(f"name over {MAX_NAME_BYTES} bytes: {text[:60]!r}...")
    return bytes(wire) + b"\0"


def fold(name: str) -> str:
    """Return the name in lower case (ASCII only, RFC 4343) without its final dot."""
    folded = name.translate(_FOLD)
    return folded[:-1] if folded.endswith(".") and not folded.endswith("\\.") else folded


_FOLD = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def is_host_name(name: str) -> bool:
    """Is this the name of a host and no more: labels of letters, digits, ``-`` and ``_``?

    Only such a name may go into anybody's files: a name in a capture can hold any byte.
    """
    return len(name) <= 254 and _HOST_NAME.fullmatch(name) is not None


def dots(name: str) -> int:
    """Count the dots inside a name, a final dot and escaped ones left out."""
    return max(0, len(wire_labels(wire_from_text(name))) - 1)


def wire_labels(wire: bytes) -> list[bytes]:
    """Split a wire name into its labels, the root left out."""
    labels = []
    at = 0
    while at < len(wire) and wire[at]:
        labels.append(wire[at + 1 : at + 1 + wire[at]])
        at += 1 + wire[at]
    return labels
