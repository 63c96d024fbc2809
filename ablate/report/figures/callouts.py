"""Names beside bubbles, where they cover nothing."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from ablate.report.figures.drawing import COLOURS, Drawing

Array = NDArray[numpy.float64]


class Bubble(NamedTuple):
    """`low` and `high` are the ends of the error's interval, or NaN; `words` are shown on the page."""

    name: str
    multiply_adds: float
    error: float
    parameters: float
    words: str
    low: float = math.nan
    high: float = math.nan


ANGLES = numpy.radians((0, 180, 90, 270, 45, 315, 135, 225, 20, 160, 340, 200))
DISTANCES = (2, 4, 7, 11, 16, 22, 30, 40, 52, 66, 80)
"""Points from a bubble's edge to its name."""
LED = 6
"""Points from which a line leads to a name."""


class Names:
    """Writes each name at the nearest place where it covers no other name, no bubble and no mark.

    Bubbles in a crowd come first. If there is no such place, a name covers what is least. Boxes are (left, bottom,
    right, top) in pixels.
    """

    def __init__(self, drawing: Drawing, bubbles: Sequence[Bubble], radii: Sequence[float], size: float) -> None:
        drawing.figure.draw_without_rendering()  # lays out the axes
        self.axes, self.bubbles, self.size = drawing.axes, bubbles, size
        self.point = drawing.figure.dpi / 72
        self.radii = numpy.array(radii) * self.point
        self.centres = self._pixels([(bubble.multiply_adds, bubble.error) for bubble in bubbles])
        self.taken = _around(self.centres, self.radii[:, None])

    def _pixels(self, places: Any) -> Array:
        return self.axes.transData.transform(numpy.reshape(places, (-1, 2)))

    def write(self, marks: Any, line: Any) -> None:
        bars = [(b.multiply_adds, end) for b in self.bubbles if math.isfinite(b.low) for end in (b.low, b.high)]
        ends, corners = self._pixels(bars), self._pixels(line)
        pairs = [*zip(ends[::2], ends[1::2], strict=True), *itertools.pairwise(corners)]
        self._take(_around(self._pixels(marks), 4 * self.point), *(self._line(*pair) for pair in pairs))
        gaps = numpy.linalg.norm(self.centres[:, None] - self.centres[None], axis=2)
        for at in numpy.argsort(numpy.sort(gaps, axis=1)[:, 1:4].sum(axis=1), kind="stable"):
            self._write(int(at))

    def _take(self, *boxes: Array) -> None:
        self.taken = numpy.concatenate([self.taken, *boxes])

    def _write(self, at: int) -> None:
        bubble, centre = self.bubbles[at], self.centres[at]
        where = (bubble.multiply_adds, bubble.error)
        text = self.axes.annotate(bubble.name, where, (0, 0), textcoords="offset points", fontsize=self.size, zorder=5)
        text.set_in_layout(False)
        box = text.get_window_extent()
        best: tuple[float, Array, Array] | None = None
        for distance in DISTANCES:
            for place in _places(centre, self.radii[at] + distance * self.point, box.width, box.height):
                lead = self._lead(at, place) if distance >= LED else numpy.empty((0, 2))
                covered = self._covered(place, lead) + (0 if len(lead) else self._astray(at, place))
                if best is None or covered < best[0]:
                    best = covered, place, lead
            if best and not best[0]:
                break
        assert best
        _, place, lead = best
        text.set_position(tuple((place[:2] - centre) / self.point))
        self._take(place[None], *([self._line(*lead)] if len(lead) else []))
        if len(lead):
            self.axes.plot(*self.axes.transData.inverted().transform(lead).T, color=COLOURS[0], lw=0.5, zorder=3.5)

    def _covered(self, place: Array, lead: Array) -> float:
        """Square pixels that a name and the line to it would cover, or have outside the axes."""
        boxes = numpy.concatenate([place[None], self._line(*lead)[1:]]) if len(lead) else place[None]
        inside = _overlap(place[None], numpy.array([self.axes.bbox.extents]))
        outside = numpy.prod(place[2:] - place[:2]) - inside
        return float(_overlap(boxes, self.taken) + 9 * round(outside, 3))

    def _astray(self, at: int, place: Array) -> float:
        """What it costs that another bubble is less than twice as far from a name as its own, as square pixels."""
        gaps = numpy.linalg.norm(numpy.clip(self.centres, place[:2], place[2:]) - self.centres, axis=1) - self.radii
        nearest = min(numpy.delete(gaps, at), default=math.inf)
        return max(0.0, float(2 * gaps[at] - nearest)) * self.point

    def _lead(self, at: int, place: Array) -> Array:
        """The line (2, 2) from a bubble's edge to the nearest point of its name."""
        nearest = numpy.clip(self.centres[at], place[:2], place[2:])
        away = nearest - self.centres[at]
        start = self.centres[at] + away * (self.radii[at] + 1.5 * self.point) / numpy.linalg.norm(away)
        return numpy.array([start, nearest])

    def _line(self, start: Array, end: Array) -> Array:
        """Small boxes along a line."""
        count = max(2, int(numpy.linalg.norm(end - start) / (2 * self.point)))
        return _around(start + numpy.linspace(0, 1, count)[:, None] * (end - start), 0.8 * self.point)


def _places(centre: Array, reach: float, width: float, height: float) -> Array:
    """The box of a name at each of ANGLES: its nearest point is on the circle of radius `reach`."""
    across, up = numpy.cos(ANGLES), numpy.sin(ANGLES)
    left = centre[0] + reach * across + width * (across - 1) / 2
    bottom = centre[1] + reach * up + height * (up - 1) / 2
    return numpy.stack([left, bottom, left + width, bottom + height], axis=1)


def _around(centres: Array, radius: Any) -> Array:
    return numpy.concatenate([centres - radius, centres + radius], axis=1)


def _overlap(some: Array, others: Array) -> float:
    """The area that boxes (n, 4) share with others (m, 4), added up."""
    low = numpy.maximum(some[:, None, :2], others[None, :, :2])
    high = numpy.minimum(some[:, None, 2:], others[None, :, 2:])
    return float(numpy.prod(numpy.clip(high - low, 0, None), axis=2).sum())
