"""What all figures share: style, palette, axes, and marks that carry a text for the page."""

import functools
import io
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

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
STYLE = Path(__file__).with_name("ablate.mplstyle")
SUPERSCRIPTS = str.maketrans("-0123456789.", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹·")
LEGEND = 0.8
"""Inches of a legend for which the sizes of figures have room."""
NARROW = 4.5
"""Inches below which a figure is as wide as one column of a paper."""


P = ParamSpec("P")
Drawn = TypeVar("Drawn", bound="Drawing | None")


def styled(draw: Callable[P, Drawn]) -> Callable[P, Drawn]:
    """`draw` in the style of all figures. Letters have 8 pt if it is given a `width`, which is that of a paper."""

    @functools.wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> Drawn:
        with _style(kwargs.get("width")):
            return draw(*args, **kwargs)

    return drawn


def _style(width: Any) -> Any:
    return style.context([STYLE, {} if width is None else {"font.size": 8, "legend.fontsize": 7}])


class Drawing:
    """A figure of one pair of axes with its title and caption, and `tips`: for each group of marks, their texts.

    `size`: its width and height in inches on the page. `width`: that in a paper, if it is drawn for one.
    """

    def __init__(self, title: str, caption: str, size: tuple[float, float], width: float | None = None) -> None:
        self.title, self.caption, self.width = title, caption, width
        if width:
            size = width, size[1] * min(1, max(width / size[0], 0.66))
        self.figure = Figure(figsize=size, layout="constrained")
        self.axes: Axes = self.figure.add_subplot()
        self.tips: dict[str, list[str]] = {}

    def points(self, x: Any, y: Any, words: list[str], **options: Any) -> None:
        """Marks for which the page shows `words`; without options they are invisible."""
        name = f"tip{len(self.tips)}"
        self.axes.scatter(x, y, gid=name, **(options or {"s": 60, "alpha": 0.0}))
        self.tips[name] = words

    def legend(self, columns: int = 2) -> None:
        """A legend above the axes, where it covers no data, in as many of the columns as there is room for.

        A legend of many rows makes the figure higher, not the axes lower.
        """
        for count in range(columns, 0, -1):
            legend = self.figure.legend(loc="outside upper center", ncols=count)
            extent = legend.get_window_extent()
            if count == 1 or extent.width <= self.figure.bbox.width:
                break
            legend.remove()
        height = extent.height / self.figure.dpi
        self.figure.set_figheight(self.figure.get_figheight() + max(0.0, height - LEGEND))

    def save(self, kind: str, **options: Any) -> bytes:
        """The figure as pdf, svg or png, without a date: the same records give the same bytes."""
        file, date = io.BytesIO(), {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
        with _style(self.width):
            self.figure.savefig(file, format=kind, metadata=date.get(kind), **options)
        return file.getvalue()


def look(at: int) -> tuple[str, str, Any]:
    """The colour, marker and dash of a line; a row of a figure has all three, so that it can be printed in black."""
    return COLOURS[at % 8], MARKERS[at % 8], DASHES[at % 8]


def short(text: str) -> str:
    """A name cut to the space that a figure has; the texts of its marks have it in full."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def power(base: int, exponent: float) -> str:
    """2⁻¹⁰, for the label of a tick."""
    return f"{base}{f'{exponent:.3g}'.translate(SUPERSCRIPTS)}"


def wrapped(text: str, width: float | None, letters: int) -> str:
    """A text as it is, or in lines of so many letters in the column of a paper."""
    return "\n".join(textwrap.wrap(text, letters)) if width and width < NARROW else text


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
    kinds = set(cells.evaluated_on)
    return f"{kinds.pop()} error, last epoch (%)" if len(kinds) == 1 else "error, last epoch (%)"
