"""Places for names beside points, so that no name covers another at any width of a chart.

A page's chart is as wide as its window, and a file's has the width of its style, but its specs are
made once. Names are therefore placed on several layouts together: the place of a name is its side
and its height on the vertical axis, which all layouts share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["LAYOUTS", "REACH", "Layout", "Name", "place_names"]

REACH = 12.0
"""Pixels between a point and the start of its name."""
_STEPS = 100  # heights that are tried, from the bottom of the chart to its top
_COVERED = 30.0  # pixels that a name is moved rather than cover a point
_OTHER_SIDE = 6.0  # pixels that a name is moved rather than point away from the middle
_POINT = 5.0  # half the size of a point, in pixels


class Layout(NamedTuple):
    """Size of a chart without its axes, and of a character of its names, in pixels."""

    width: float
    height: float
    character: float
    line: float


LAYOUTS = (
    Layout(255, 228, 5.2, 11.5),
    Layout(300, 380, 6.4, 13.5),
    Layout(470, 380, 6.4, 13.5),
    Layout(710, 380, 6.4, 13.5),
)
"""A column in print, a phone, a file and a page, for charts that are 380 pixels high on a page."""


class Name(NamedTuple):
    """The place of a name.

    Attributes
    ----------
    text : str
    x, y : float
        Its point, from 0 to 1.
    at : float
        Height of the middle of the name, from 0 to 1.
    left : bool
        Whether it begins to the right of its point (so its left end is there), or ends to its left.
    """

    text: str
    x: float
    y: float
    at: float
    left: bool


_Box = tuple[float, float, float, float]


def place_names(
    named: Sequence[tuple[str, float, float]],
    points: Sequence[tuple[float, float]],
) -> list[Name]:
    """Place names beside their points.

    Each name takes the place nearest to its point where it stays inside the chart and covers no
    name placed before, in every layout; it avoids points where that is near enough. If no place is
    left, it takes the one that covers least.

    Parameters
    ----------
    named : sequence of (str, float, float)
        Names with their points: shares of the width, from left, and of the height, from below.
    points : sequence of (float, float)
        All points, those with names included.

    Returns
    -------
    list of Name
        In the order of `named`.
    """
    taken: list[list[_Box]] = [[] for _ in LAYOUTS]
    dots = [[_around(x, y, layout) for x, y in points] for layout in LAYOUTS]
    found: dict[int, Name] = {}
    # Names of points near the top or the bottom have the fewest places: they come first.
    order = sorted(
        range(len(named)), key=lambda at: (min(named[at][2], 1 - named[at][2]), named[at][1])
    )
    for place in order:
        best = min(_candidates(*named[place]), key=lambda name: _cost(name, taken, dots))
        found[place] = best
        for boxes, layout in zip(taken, LAYOUTS, strict=True):
            boxes.append(box_of(best, layout))
    return [found[place] for place in range(len(named))]


def _candidates(text: str, x: float, y: float) -> Iterator[Name]:
    for step in range(_STEPS + 1):
        for left in (True, False):
            yield Name(text, x, y, step / _STEPS, left)


def _cost(
    name: Name,
    taken: Sequence[Sequence[_Box]],
    dots: Sequence[Sequence[_Box]],
) -> tuple[float, float]:
    """Return the pixels of names that it covers or loses at the edge, then its distance."""
    lost = far = 0.0
    for layout, boxes, around in zip(LAYOUTS, taken, dots, strict=True):
        own = box_of(name, layout)
        left, low, right, high = own
        lost += max(0.0, -left) + max(0.0, right - layout.width)
        lost += max(0.0, -low) + max(0.0, high - layout.height)
        lost += sum(overlap(own, box) for box in boxes)
        far += abs(name.at - name.y) * layout.height
        far += _COVERED * sum(overlap(own, box) > 0 for box in around)
    outwards = name.left != (name.x < 0.5)
    return lost, far / len(LAYOUTS) + (_OTHER_SIDE if outwards else 0.0)


def box_of(name: Name, layout: Layout) -> tuple[float, float, float, float]:
    """Return the box of a name in a layout: left, low, right, high, in pixels."""
    long = len(name.text) * layout.character
    start = name.x * layout.width + (REACH if name.left else -REACH - long)
    middle = name.at * layout.height
    return start, middle - layout.line / 2, start + long, middle + layout.line / 2


def _around(x: float, y: float, layout: Layout) -> _Box:
    across, up = x * layout.width, y * layout.height
    return across - _POINT, up - _POINT, across + _POINT, up + _POINT


def overlap(one: _Box, other: _Box) -> float:
    """Return the area that two boxes share, in square pixels."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0
