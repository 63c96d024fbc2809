"""Networks as bubbles: operations across, error up, parameters as area; of published networks, and of a study's."""

import math
from collections.abc import Sequence
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from pandas import DataFrame

from ablate.report import wording
from ablate.report.figures.callouts import Bubble, Names
from ablate.report.figures.drawing import COLOURS, NARROW, TICKS, Drawing, error_label, log_axis, styled
from ablate.report.imagenet import NETWORKS
from ablate.report.keys import labels
from ablate.report.records import rows_of

MOST = 30
"""Bubbles of a chart."""
FLOOR = TICKS[0]
"""Percent: a logarithmic axis has no 0."""
SIZE = (6.2, 4.2)
NAMES = {"lenet5": "LeNet-5", **{network.net: network.name for network in NETWORKS}}


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
    least = f" Errors below {FLOOR} % are drawn at {FLOOR} %." if (known[:MOST]["mean"] < FLOOR).any() else ""
    caption = f"Mean error over seeds.{bars}{least} The area of a bubble is the number of parameters.{more}"
    drawing = Drawing("Error, operations and parameters", caption, SIZE, width)
    bubbles = [
        Bubble(
            *(cell.name, cell.multiply_adds, max(cell.mean, FLOOR), cell.parameters),
            f"{cell.name}: {wording.error(cell)}, n = {cell.n}, {cell.multiply_adds:,.0f} multiply-adds, "
            f"{cell.parameters:,.0f} parameters",
            *numpy.maximum((cell.low, cell.high), FLOOR).tolist(),
        )
        for cell in rows_of(known[:MOST])
    ]
    axes = drawing.axes
    ends = [end for one in bubbles for end in (one.low, one.high) if math.isfinite(end)]
    bottom, _ = log_axis(axes, "y", [*(one.error for one in bubbles), *ends])
    axes.set_ylim(bottom=min(bottom, min(one.error for one in bubbles) / 1.4))  # room for bubbles at the floor
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
    style: dict[str, Any] = {
        "clip_on": False,
        "facecolors": f"{COLOURS[6]}59",
        "edgecolors": COLOURS[0],
        "linewidths": 0.8,
    }
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
    Names(drawing, bubbles, [math.sqrt(area) / 2 for area in areas], 7 if narrow else 8.5).write(marks, line)


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
