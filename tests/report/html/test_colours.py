"""Colours by calculation: contrast of text, and classes as those see them who see fewer colours."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files

import numpy as np
import numpy.typing as npt
import pytest

from pcapkit.report.html.canvas import COLOURS, HATCHES, INK

CSS = (files("pcapkit") / "report" / "html" / "templates" / "style.css").read_text()
#: Light and dark: the variables of each theme.
THEMES = [
    dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", CSS)
]
#: Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
SIGHTS = {
    "full": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
Values = npt.NDArray[np.float64]


def linear(colour: str) -> Values:
    """Return a colour as linear RGB (IEC 61966-2-1)."""
    value = np.array([int(colour[n : n + 2], 16) for n in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """Return the ratio of WCAG 2.2, 1.4.3."""
    weights = np.array([0.2126, 0.7152, 0.0722])
    dark, light = sorted(float(weights @ linear(c)) for c in (one, other))
    return (light + 0.05) / (dark + 0.05)


def lab(rgb: Values) -> Values:
    """Return CIE L*a*b* of linear RGB, for D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", THEMES, ids=["light", "dark"])
def test_text_can_be_read_on_everything_it_stands_on(theme: dict[str, str]) -> None:
    assert len(THEMES) == 2
    for ink, paper in itertools.product(
        ("ink", "soft", "link", "waste", "safe", "review", "unsafe"), ("page", "card", "code")
    ):
        if (ink, paper) != ("soft", "code"):  # which never meet
            assert contrast(theme[ink], theme[paper]) >= 4.5, (ink, paper)


@pytest.mark.parametrize("sight", SIGHTS)
def test_classes_are_told_apart_by_colour_or_by_pattern(sight: str) -> None:
    """Those of a bar: 10 in CIE76 are plain to see for areas side by side."""
    seen = {name: lab(SIGHTS[sight] @ linear(colour)) for name, colour in COLOURS.items()}
    for one, other in itertools.combinations(COLOURS, 2):
        if HATCHES.get(one) == HATCHES.get(other):
            assert float(np.linalg.norm(seen[one] - seen[other])) >= 10, (one, other)


@pytest.mark.parametrize("theme", THEMES, ids=["light", "dark"])
def test_waste_stands_out_on_both_themes(theme: dict[str, str]) -> None:
    """WCAG 2.2, 1.4.11: what matters in a picture has three times the light of its paper."""
    for name in ("search_miss", "answer"):
        assert contrast(COLOURS[name], theme["page"]) >= 3, name
    assert contrast(INK, "#ffffff") >= 4.5  # of pictures on white
