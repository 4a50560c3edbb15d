"""Charts as pictures: SVG for the page, PNG on white, or matplotlib's figures."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import escape
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from pcapkit.model.results import Results
from pcapkit.report.html.canvas import GREY, INK, TEXT, WIDTH, Picture
from pcapkit.report.html.charts import CHARTS
from pcapkit.report.html.drawing import Drawn

_PNG_DPI = 1200 / WIDTH
#: Settings of users, and of whoever left a matplotlibrc beside the captures, do not count.
_STYLE: Any = {
    **{name: value for name, value in mpl.rcParamsDefault.items() if "backend" not in name},
    "font.size": TEXT,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "pcapkit",
    "hatch.linewidth": 0.6,
    "path.simplify": True,
    "text.hinting": "none",  # which shows in no picture so large, and costs a fifth of drawing it
}


def draw(analysis: Results, *, png: bool, only: Sequence[str] | None = None) -> tuple[Drawn, ...]:
    """Draw every chart that has something to show, or ``only`` some of them, by name.

    The same analysis gives the same bytes.
    """
    out = []
    with mpl.rc_context(_STYLE):
        for name, function in CHARTS:
            if only is not None and name not in only:
                continue
            if (picture := function(analysis)) is not None:
                out.append(
                    Drawn(
                        name,
                        picture.alt,
                        _svg(picture, name),
                        _png(picture.figure) if png else None,
                    )
                )
    return tuple(out)


def figure_of(analysis: Results, name: str) -> Figure | None:
    """Return one chart as matplotlib's figure, None where it has nothing to show."""
    with mpl.rc_context(_STYLE):
        picture = dict(CHARTS)[name](analysis)
    return None if picture is None else picture.figure


def _png(figure: Figure) -> bytes:
    """Return the figure as a PNG file (W3C PNG, 5 and 11), as ``savefig`` would in twice the time.

    ``savefig`` lays all text out once more before it draws. ISA-L compresses ten times as fast as
    zlib, but was seen to give other bytes for the same pixels, once in some hundred pictures.
    """
    figure.set_dpi(_PNG_DPI)
    figure.set_facecolor("white")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())
    height, width, _ = drawn.shape
    lines = np.zeros((height, 1 + 3 * width), np.uint8)  # each begins with its filter: none
    for colour in range(3):  # four times as fast as all three at once
        lines[:, 1 + colour :: 3] = drawn[:, :, colour]
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.data, 1)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _svg(picture: Picture, name: str) -> str:
    """Return the figure as an SVG element for a page, its ids made unique by the chart's name."""
    FigureCanvasSVG(picture.figure)
    out = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    picture.figure.savefig(out, format="svg", transparent=True, metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = text.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    text = re.sub(INK, "currentColor", text, flags=re.I)
    told = f'role="img" aria-label="{escape(picture.alt)}"'
    text = re.sub(
        r'<svg [^>]*viewBox="([^"]*)"[^>]*>', lambda f: f'<svg viewBox="{f[1]}" {told}>', text
    )
    return text.replace("\n", " ")
