"""Text that can be written in UTF-8, whatever it was made from."""

from __future__ import annotations

import re

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
