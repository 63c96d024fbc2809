"""Networks as bubbles: operations across, error up, parameters as area; of published networks, and of a study's."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray
from pandas import DataFrame

from ablate.report import wording
from ablate.report.figures.drawing import COLOURS, NARROW, Drawing, error_label, log_axis, styled
from ablate.report.imagenet import NETWORKS
from ablate.report.keys import labels
from ablate.report.records import rows_of

MOST = 30
"""Bubbles of a chart."""
SIZE = (6.2, 4.2)
Array = NDArray[numpy.float64]
NAMES = {"lenet5": "LeNet-5", **{network.net: network.name for network in NETWORKS}}


class Bubble(NamedTuple):
    """`low` and `high` are the ends of the error's interval, or NaN; `words` are shown on the page."""

    name: str
    multiply_adds: float
    error: float
    parameters: float
    words: str
    low: float = math.nan
    high: float = math.nan


@styled
def published(*, width: float | None = None) -> Drawing:
    """The networks from AlexNet to ResNet on ImageNet, and the entries to ILSVRC."""
    caption = (
        "Top-5 error of one network and one crop on ImageNet's validation images (torchvision's weights; ZFNet: its "
        "paper, ten crops). Crosses: entries to ILSVRC, of several networks and many crops, at the operations of one "
        "network. The area of a bubble is the number of parameters."
    )
    drawing = Drawing("Networks on ImageNet", caption, SIZE, width)
    bubbles = [
        Bubble(
            one.name,
            one.multiply_adds,
            one.top5,
            one.parameters,
            f"{one.name}, {one.year}: top-5 error {one.top5:.2f}, {one.multiply_adds / 1e9:.2f} billion multiply-adds, "
            f"{one.parameters / 1e6:.1f} million parameters",
        )
        for one in NETWORKS
    ]
    axes = drawing.axes
    line = numpy.array([(one.multiply_adds, one.error) for one in bubbles if one.name.startswith("ResNet")])
    axes.plot(*line.T, color=COLOURS[0], lw=0.8, zorder=2)
    entries = [one for one in NETWORKS if one.entry is not None]
    words = [f"{one.name}: entry to ILSVRC {one.year}, top-5 error {one.entry}" for one in entries]
    across, up = [one.multiply_adds for one in entries], [one.entry for one in entries]
    drawing.points(across, up, words, s=26, marker="x", color=COLOURS[0], lw=1.1, zorder=4, label="entry to ILSVRC")
    axes.set(ylim=(0, 24), ylabel="top-5 error on ImageNet (%)")
    _draw(drawing, bubbles, [*zip(across, up, strict=True)], line)
    return drawing


@styled
def measured(cells: DataFrame, *, width: float | None = None) -> Drawing | None:
    """The rows of a study that have an error; None if there is none."""
    known = cells[cells["mean"].notna() & (cells.multiply_adds > 0) & (cells.parameters > 0)]
    if not len(known):
        return None
    known = known.assign(name=names(known))
    left_out = len(cells) - len(known[:MOST])
    more = f" {left_out} of {len(cells)} rows are not drawn." if left_out else ""
    bars = " Bars: 95 % interval of the mean." if known.low.notna().any() else ""
    caption = f"Mean error over seeds.{bars} The area of a bubble is the number of parameters.{more}"
    drawing = Drawing("Error, operations and parameters", caption, SIZE, width)
    bubbles = [
        Bubble(
            *(cell.name, cell.multiply_adds, cell.mean, cell.parameters),
            f"{cell.name}: {wording.error(cell)}, n = {cell.n}, {cell.multiply_adds:,.0f} multiply-adds, "
            f"{cell.parameters:,.0f} parameters",
            *(cell.low, cell.high),
        )
        for cell in rows_of(known[:MOST])
    ]
    axes = drawing.axes
    ends = [end for one in bubbles for end in (one.low, one.high) if math.isfinite(end)]
    log_axis(axes, "y", [*(one.error for one in bubbles), *ends])
    axes.set_ylabel(error_label(known))
    _draw(drawing, bubbles)
    return drawing


def names(cells: DataFrame) -> list[str]:
    """A short name for each row: the network, and the shortcut if it is not the identity."""
    found = []
    for cell, label in zip(rows_of(cells), labels(cells), strict=True):
        network = NAMES.get(cell.net, f"ResNet-{cell.depth}" if cell.net == "resnet" else f"{cell.net}-{cell.depth}")
        shortcut, _, rest = label.partition(" ")
        if shortcut == "none" and network.startswith("ResNet"):
            network = network.replace("ResNet", "plain")
        words = rest if shortcut in ("none", "identity") else label
        more = [str(getattr(cell, key)) for key in ("data", "recipe", "unit") if cells[key].nunique() > 1]
        found.append(", ".join([network, *more, *([words] if words else [])]))
    return found if len({*found}) == len(found) else labels(cells, settings=True)


def _draw(drawing: Drawing, bubbles: Sequence[Bubble], marks: Any = (), line: Any = ()) -> None:
    """Bubbles with their names, which do not cover `marks` (n, 2) and `line` (n, 2), and a legend of areas."""
    axes, narrow = drawing.axes, drawing.width is not None and drawing.width < NARROW
    widest = 22.0 if narrow else 32.0  # points
    largest = max(bubble.parameters for bubble in bubbles)
    areas = [widest**2 * bubble.parameters / largest for bubble in bubbles]
    x, y = ([getattr(bubble, key) for bubble in bubbles] for key in ("multiply_adds", "error"))
    style: dict[str, Any] = {"facecolors": f"{COLOURS[6]}59", "edgecolors": COLOURS[0], "linewidths": 0.8}
    drawing.points(x, y, [bubble.words for bubble in bubbles], s=areas, zorder=3, **style)
    axes.scatter(x, y, s=3, color=COLOURS[0], zorder=4)
    for bubble in bubbles:
        if math.isfinite(bubble.low):
            axes.vlines(bubble.multiply_adds, bubble.low, bubble.high, color=COLOURS[0], lw=0.9, zorder=4)
    top = _round(largest / 2)
    for count in (top / 10, top):
        label = f"{count / 1e6:g} M parameters" if count >= 1e6 else f"{count:,.0f} parameters"
        axes.scatter([], [], s=widest**2 * count / largest, label=label, **style)
    _operations(axes, min(x) / 1.7, max(x) * 2.2)
    drawing.legend(3)
    _Names(drawing, bubbles, [math.sqrt(area) / 2 for area in areas], 7 if narrow else 8.5).write(marks, line)


def _operations(axes: Axes, left: float, right: float) -> None:
    """A logarithmic axis of operations in a round unit, with ticks of 1, 2 and 5."""
    unit, word = next((one for one in UNITS if right >= one[0]), UNITS[-1])
    first = math.floor(math.log10(left))
    ticks = [step * 10.0**power for power in range(first, math.ceil(math.log10(right))) for step in (1, 2, 5)]
    ticks = [tick for tick in ticks if left <= tick <= right]
    if len(ticks) > 7:
        ticks = [tick for tick in ticks if math.log10(tick).is_integer()]
    axes.set(xscale="log", xlim=(left, right), xlabel=f"{word}multiply-adds for one image")
    axes.set_xticks(ticks, [f"{tick / unit:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


UNITS = ((1e9, "billion "), (1e6, "million "), (1.0, ""))


def _round(number: float) -> float:
    """The largest 1, 2 or 5 times a power of ten up to `number`."""
    power = 10 ** math.floor(math.log10(number))
    return max(step * power for step in (1, 2, 5) if step * power <= number)


ANGLES = numpy.radians((0, 180, 90, 270, 45, 315, 135, 225, 20, 160, 340, 200))
DISTANCES = (2, 4, 7, 11, 16, 22, 30, 40, 52, 66, 80)
"""Points from a bubble's edge to its name."""
LED = 6
"""Points from which a line leads to a name."""


class _Names:
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
