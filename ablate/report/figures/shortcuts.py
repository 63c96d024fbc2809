"""The error of each row: every seed, the median, the interval of the mean, the published value."""

from typing import Any

import numpy
from matplotlib import rc_context
from pandas import DataFrame

from ablate.report import wording
from ablate.report.figures.drawing import COLOURS, GREY, STYLE, Drawing, error_label, log_axis, short
from ablate.report.keys import labels
from ablate.report.published import FAIL
from ablate.report.records import rows_of

MOST_ROWS = 40
PUBLISHED: Any = {"s": 34, "facecolors": "none", "edgecolors": COLOURS[1]}


@rc_context(STYLE)
def by_shortcut(cells: DataFrame, runs: DataFrame) -> Drawing | None:
    """The last epoch's error of each row; None if there is one row or no error."""
    if len(cells) < 2 or not cells.n.any():
        return None
    shown = cells.iloc[:MOST_ROWS]
    names = labels(cells, settings=True)[:MOST_ROWS]
    caption = f"The first {len(shown)} of {len(cells)} rows." if len(shown) < len(cells) else "All rows."
    drawing = Drawing("Error by shortcut", caption, 6.2, 0.8 + 0.27 * len(shown))
    axes = drawing.axes
    errors = runs[runs.state == "finished"].groupby("cell").test_error.apply(list).to_dict()
    finite = [value for cell in shown.cell for value in errors.get(cell, [])]
    limits = log_axis(axes, "x", [*finite, *shown.published[numpy.isfinite(shown.published)]])
    for y, (cell, name) in enumerate(zip(rows_of(shown), names, strict=True)):
        _row(drawing, y, cell, name, errors.get(cell.cell, []), limits)
    axes.axvline(FAIL, color=GREY, lw=0.8, ls=":")
    axes.set_yticks(range(len(shown)), [short(name) for name in names])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(error_label(cells))
    _legend(drawing, cells)
    return drawing


def _row(drawing: Drawing, y: int, cell: Any, name: str, errors: list[float], limits: tuple[float, float]) -> None:
    axes, (bottom, top) = drawing.axes, limits
    axes.plot(numpy.clip(errors, bottom, None), [y] * len(errors), "|", color=COLOURS[2], ms=8, mew=1)
    text = f"{name}: {wording.error(cell)}, n = {cell.n}"
    if not numpy.isnan(cell.low):
        axes.plot(numpy.clip([cell.low, cell.high], bottom, top), [y, y], color=COLOURS[0], lw=1.6, zorder=2)
        text += f", mean {cell.mean:.2f}, 95 % interval {wording.interval(cell.low, cell.high)}"
    if numpy.isfinite(cell.median):
        drawing.points([max(cell.median, bottom)], [y], [text], s=26, color=COLOURS[0], zorder=3)
    else:
        axes.text(top, y, f"{wording.error(cell)} ", ha="right", va="center", style="italic")
    if not numpy.isnan(cell.published):
        failed = numpy.isinf(cell.published)
        text = f"{name}: published {'fail, above 20 %' if failed else wording.number(cell.published)}"
        x, marker = (FAIL, ">") if failed else (cell.published, "D")
        drawing.points([x], [y], [text], marker=marker, zorder=4, linewidths=1.2, **PUBLISHED)


def _legend(drawing: Drawing, cells: DataFrame) -> None:
    axes = drawing.axes
    axes.scatter([], [], s=26, color=COLOURS[0], label="median")
    axes.plot([], [], "|", color=COLOURS[2], ms=8, label="one seed")
    if cells.low.notna().any():
        axes.plot([], [], color=COLOURS[0], lw=1.6, label="95 % interval of the mean")
    if cells.published.notna().any():
        axes.scatter([], [], marker="D", label="published (CIFAR-10)", **PUBLISHED)
        axes.scatter([], [], marker=">", label="published: fail", **PUBLISHED)
    drawing.legend(5)
