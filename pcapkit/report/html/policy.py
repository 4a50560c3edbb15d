"""What a page may run and be styled by: its own script and stylesheet, known by their hashes.

So no style stands in an attribute, and no text of a capture can ever become a script (W3C Content
Security Policy Level 3, 6.7.3).
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from markupsafe import Markup

#: A tag; matplotlib escapes < and > in texts and in values.
_TAG = re.compile(r"<[a-zA-Z][^<>]*>")
_STYLE = re.compile(r' style="([^"]*)"')
_SHEET = re.compile(r"<style[^>]*>.*?</style>|<defs>\s*</defs>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Assets:
    """A page's stylesheet and script, its own files."""

    css: str
    js: str

    @property
    def policy(self) -> str:
        """The page's Content-Security-Policy: nothing is loaded, nothing else runs."""
        return (
            f"default-src 'none'; style-src {_hash(self.css)}; script-src {_hash(self.js)}; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        )

    @property
    def style(self) -> Markup:
        """The stylesheet as it stands in the page."""
        return Markup(self.css)  # noqa: S704 - a template's own

    @property
    def script(self) -> Markup:
        """The script as it stands in the page."""
        return Markup(self.js)  # noqa: S704 - a template's own


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def without_inline_styles(svgs: Sequence[str]) -> tuple[list[str], str]:
    """Return pictures whose styles are classes, and the rules of these classes."""
    classes: dict[str, str] = {}

    def as_class(found: re.Match[str]) -> str:
        name = classes.setdefault(found[1], f"s{len(classes)}")
        return f' class="{name}"'

    out = [_TAG.sub(lambda tag: _STYLE.sub(as_class, tag[0]), _SHEET.sub("", svg)) for svg in svgs]
    # matplotlib's own sheet, for all of its pictures
    rules = "figure svg * { stroke-linejoin: round; stroke-linecap: butt; }\n" if svgs else ""
    return out, rules + "".join(f".{name}{{{text}}}\n" for text, name in classes.items())
