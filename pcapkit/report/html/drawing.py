"""What a chart is once it is drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Drawn:
    """One chart in both forms: ``svg`` takes the page's text colour, ``png`` stands on white."""

    name: str
    alt: str
    svg: str
    png: bytes | None
