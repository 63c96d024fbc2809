"""The error of each row: every seed, the mean and its interval, the published value."""

import math
from typing import Any

import numpy
from pandas import DataFrame

from ablate.report import wording
from ablate.report.figures.drawing import COLOURS, Drawing, error_label, log_axis, short, styled, wrapped
from ablate.report.published import FAIL
from ablate.report.records import rows_of
from ablate.runs.reading import EVALUATED

MOST_ROWS = 40


@styled
def by_shortcut(cells: DataFrame, runs: DataFrame, *, width: float | None = None) -> Drawing | None:
    """The last epoch's error of each row; None if there is one row or no error."""
    if len(cells) < 2 or not cells.n.any():
        return None
    shown = cells.assign(y=range(len(cells)))[:MOST_ROWS]
    caption = f"The first {MOST_ROWS} of {len(cells)} rows." if len(cells) > MOST_ROWS else "All rows."
    names = [wrapped(short(name), width, 24) for name in shown.name]
    lines = 1 + max(name.count("\n") for name in names)
    drawing = Drawing("Error by shortcut", caption, (6.2, 0.8 + 0.27 * len(shown) * lines), width)
    axes = drawing.axes
    seeds = runs[runs.state.isin(EVALUATED)].merge(shown[["cell", "y"]], on="cell")
    bottom, top = log_axis(axes, "x", [*seeds.test_error, *shown.published.dropna()])
    axes.plot(seeds.test_error.clip(bottom), seeds.y, "|", color=COLOURS[2], ms=8, mew=1, label="one seed")
    tested = shown[shown.low.notna()]
    if len(tested):
        low, high = tested.low.clip(bottom, top), tested.high.clip(bottom, top)
        axes.hlines(tested.y, low, high, color=COLOURS[0], lw=1.6, zorder=2, label="95 % interval of the mean")
    finite = shown["mean"].notna()
    text = [_text(cell) for cell in rows_of(shown[finite])]
    means = shown["mean"][finite].clip(bottom)
    drawing.points(means, shown.y[finite], text, s=26, color=COLOURS[0], zorder=3, label="mean")
    for cell in rows_of(shown[~finite]):
        axes.text(top, cell.y, f"{wording.error(cell)} ", ha="right", va="center", style="italic")
    above = numpy.isinf(shown.published)
    hollow: Any = {"s": 34, "facecolors": "none", "edgecolors": COLOURS[1], "zorder": 4}
    for known, marker in ((shown[shown.published.notna() & ~above], "D"), (shown[above], ">")):
        if len(known):
            text = [f"{row.name}: published {wording.published(row.published)}" for row in rows_of(known)]
            label = "published" if marker == "D" else f"published: {wording.published(math.inf)}"
            drawing.points(
                known.published.clip(upper=FAIL).clip(bottom, top), known.y, text, label=label, marker=marker, **hollow
            )
    axes.set_yticks(range(len(shown)), names)
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(error_label(cells))
    drawing.legend(4)
    return drawing


def _text(cell: Any) -> str:
    text = f"{cell.name}: {wording.error(cell)}, n = {cell.n}"
    if math.isnan(cell.low):
        return text
    return f"{text}, 95 % interval of the mean {wording.interval(cell.low, cell.high)}"
