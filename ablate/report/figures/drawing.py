"""What all figures share: style, palette, axes, and marks that carry a text for the page."""

import io
from pathlib import Path
from typing import Any

import numpy
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from pandas import DataFrame

# Okabe and Ito's palette, which is safe for colour-blind readers; black first, for the baseline.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), (0, (1, 1)), (0, (8, 3)))
GREY = "#767676"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
LONGEST = 44
styled = style.context(Path(__file__).with_name("ablate.mplstyle"))
"""The style of all figures, as a decorator."""


class Drawing:
    """A figure of one pair of axes with its title and caption, and `tips`: for each group of marks, their texts."""

    def __init__(self, title: str, caption: str, width: float, height: float) -> None:
        self.title, self.caption = title, caption
        self.figure = Figure(figsize=(width, height), layout="constrained")
        self.axes: Axes = self.figure.add_subplot()
        self.tips: dict[str, list[str]] = {}

    def points(self, x: Any, y: Any, words: list[str], **options: Any) -> None:
        """Marks for which the page shows `words`; without options they are invisible."""
        name = f"tip{len(self.tips)}"
        self.axes.scatter(x, y, gid=name, **(options or {"s": 60, "alpha": 0.0}))
        self.tips[name] = words

    def legend(self, columns: int = 2) -> None:
        """A legend above the axes, where it covers no data."""
        self.figure.legend(loc="outside upper center", ncols=columns)

    @styled
    def save(self, kind: str, **options: Any) -> bytes:
        """The figure as pdf, svg or png, without a date: the same records give the same bytes."""
        file, date = io.BytesIO(), {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        self.figure.savefig(file, format=kind, metadata=date.get(kind), **options)
        return file.getvalue()


def look(at: int) -> tuple[str, str, Any]:
    """The colour, marker and dash of a line; a row of a figure has all three, so that it can be printed in black."""
    return COLOURS[at % 8], MARKERS[at % 8], DASHES[at % 8]


def short(text: str) -> str:
    """A name cut to the space that a figure has; the texts of its marks have it in full."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def log_axis(axes: Axes, which: str, values: list[float]) -> tuple[float, float]:
    """Make axis x or y a logarithmic axis of percent that holds all `values`, with round ticks; returns its limits."""
    finite = [value for value in values if numpy.isfinite(value)] or [1.0, 100.0]
    bottom = max(TICKS[0], min(finite) / 1.4)
    top = min(115.0, max(1.4 * max(finite), 4 * bottom))
    axes.set(**{f"{which}scale": "log", f"{which}lim": (bottom, top)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    ticks = [tick for tick in TICKS if bottom <= tick <= top]
    axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axis.set_minor_locator(NullLocator())
    return bottom, top


def error_label(cells: DataFrame) -> str:
    """The label of an axis of errors."""
    return f"{'test' if (cells.evaluated_on == 'test').all() else 'validation'} error, last epoch (%)"
