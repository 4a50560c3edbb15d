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
WIDTH = 4.4  #: inches; at 91 pixels each, 400 px


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure with the words for those who cannot see it."""

    figure: Figure
    alt: str


def new_figure(height: float, title: str, subtitle: str) -> tuple[Figure, Axes]:
    """Return a figure and its axes, below a title (the message) and a subtitle (the evidence)."""
    figure = Figure(figsize=(WIDTH, height))
    lines = _wrap(title, 54)
    top = 0.17 * len(lines) + 0.30
    for k, line in enumerate(lines):
        figure.text(
            0.015, 1 - (0.05 + 0.17 * k) / height, line, fontsize=10, fontweight="bold", va="top"
        )
    figure.text(
        0.015, 1 - (0.08 + 0.17 * len(lines)) / height, subtitle, fontsize=7.5, va="top", alpha=0.8
    )
    axes = figure.add_axes((0.1, 0.42 / height, 0.87, 1 - (top + 0.50) / height))
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def set_position(axes: Axes, left: float, bottom: float, height: float) -> None:
    """Move the axes: inches from the figure's edges, ``height`` of it left below the titles."""
    assert isinstance(axes.figure, Figure)
    size = axes.figure.get_size_inches()[1]
    axes.set_position((left / WIDTH, bottom / size, 1 - (left + 0.12) / WIDTH, height / size))
