"""What all charts are drawn on: a figure with its title, in the colours that classes have."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#3b3b3c"  #: text and lines; which the page replaces with its own colour
GREY = "#8a8a8a"
#: One meaning, one colour (Okabe and Ito, https://jfly.uni-koeln.de/color/).
COLOURS: dict[str, str] = {
    "search_miss": "#D55E00",
    "absolute_miss": "#E69F00",
    "answer": "#0072B2",
    "empty_family": "#56B4E9",
    "no_such_type": "#CC79A7",
    "nonexistent": "#CC79A7",
    "server_error": INK,
    "unanswered": INK,
    "reverse_miss": "#9a9a9a",
    "service_probe": "#b5b5b5",
    "incomplete": "#cfcfcf",
}
#: Classes that share a colour differ by their pattern.
HATCHES = {
    "nonexistent": "////",
    "unanswered": "xx",
    "service_probe": "\\\\\\\\",
    "reverse_miss": "....",
}
WIDTH = 4.4  #: inches; the page shows them on 376 px of a window of 400 px
TEXT = 9.5  #: points of all text but the title; 11 px on such a window
_TITLE = 10.5
_LINE = 0.165  # inches from one line of text to the next
_EDGE = 0.015  # of the width, left of titles and notes


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with the words for those who cannot see it."""

    figure: Figure
    alt: str


def new_figure(
    title: str,
    subtitle: str,
    *,
    height: float,
    left: float = 0.12,
    bottom: float = 0.06,
    note: str = "",
) -> tuple[Figure, Axes]:
    """Return a figure and its axes, which are ``height`` inches high and as wide as they can be.

    Above them stand the title (the message) and the subtitle (the evidence), ``left`` and
    ``bottom`` inches beside and below them are for their labels, and ``note`` explains the marks.
    """
    titles, subtitles, notes = _wrap(title, 50), _wrap(subtitle, 56), _wrap(note, 56)
    below = bottom + _LINE * len(notes)
    top = 0.16 + (_LINE + 0.015) * len(titles) + _LINE * len(subtitles)
    whole = below + height + top
    figure = Figure(figsize=(WIDTH, whole))
    y = whole - 0.05
    for line in titles:
        figure.text(_EDGE, y / whole, line, fontsize=_TITLE, fontweight="bold", va="top")
        y -= _LINE + 0.015
    for line in subtitles:
        figure.text(_EDGE, y / whole, line, fontsize=TEXT, va="top", alpha=0.8)
        y -= _LINE
    for k, line in enumerate(reversed(notes)):
        figure.text(_EDGE, (0.05 + _LINE * k) / whole, line, fontsize=TEXT, alpha=0.8)
    axes = figure.add_axes((left / WIDTH, below / whole, 1 - (left + 0.12) / WIDTH, height / whole))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width)
