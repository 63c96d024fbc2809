"""What every figure is drawn with: its style, its palette, its axes, and marks that know their words."""

from dataclasses import dataclass, field
from typing import Any

import numpy
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

# Okabe and Ito's palette, which the colour-blind can tell apart; black first, for the baseline.
COLOURS = ("#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)), (0, (5, 1)), (0, (1, 1)), (0, (8, 3)))
TRAINING = ("--", ":")
GREY = "#767676"
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
LONGEST = 44
STYLE: Any = {
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#7f7f7f",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "ablate",
    "savefig.bbox": "tight",
    # A dollar sign in somebody's own name is a dollar sign, and not the start of a formula.
    "text.parse_math": False,
}


@dataclass
class Drawing:
    """A figure, what it says in words, and `tips`: for each of its groups of marks, the words of each mark."""

    figure: Figure
    title: str
    caption: str
    tips: dict[str, list[str]] = field(default_factory=dict)

    def points(self, axes: Axes, x: Any, y: Any, words: list[str], **style: Any) -> None:
        """Marks that the page shows `words` for; with no style they are there for that alone."""
        style = style or {"s": 60, "alpha": 0.0}
        name = f"tip{len(self.tips)}"
        axes.scatter(x, y, gid=name, **style)
        self.tips[name] = words


def short(text: str) -> str:
    """A name that leaves a figure its room; the words of its marks have it whole."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def log_axis(axes: Axes, which: str, values: list[float]) -> tuple[float, float]:
    """Make axis x or y a logarithmic one of percents that holds all of `values`, with round ticks; gives its ends."""
    finite = [value for value in values if numpy.isfinite(value)] or [1.0, 100.0]
    bottom = max(TICKS[0], min(finite) / 1.4)
    top = min(115.0, max(1.4 * max(finite), 4 * bottom))
    axes.set(**{f"{which}scale": "log", f"{which}lim": (bottom, top)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator([tick for tick in TICKS if bottom <= tick <= top]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    return bottom, top


def blank(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def legend_above(axes: Axes, columns: int) -> None:
    """Where it hides no data."""
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns, fontsize=8, handletextpad=0.4, columnspacing=1.2
    )
