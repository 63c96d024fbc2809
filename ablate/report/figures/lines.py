"""Errors along a key: against depth, as [A] Fig. 6 and Table 6, and against the initial bias of the gates."""

from itertools import pairwise
from typing import Any

import numpy
import pandas
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ablate.report import wording
from ablate.report.figures.drawing import (
    COLOURS,
    DASHES,
    GREY,
    MARKERS,
    TICKS,
    Drawing,
    blank,
    error_label,
    log_axis,
    short,
)
from ablate.report.keys import labels
from ablate.report.published import TABLE_6
from ablate.report.records import rows_of

MOST_LINES = 8
"""As many as there are colours."""


def by_depth(cells: pandas.DataFrame) -> Drawing | None:
    """Error against depth; None if no row has two depths."""
    lines = _lines(cells, "depth", [float(depth) for depth in cells.depth])
    if not lines:
        return None
    figure, axes = blank(5.2, 3.4)
    drawing = Drawing(figure, "Error against depth", _caption(cells))
    depths = sorted({int(x) for line in lines.values() for x, _ in line})
    values = _draw(drawing, axes, lines, "depth")
    if set(cells.data) == {"cifar10"}:
        rows = [row for row in TABLE_6 if row.depth in depths]
        text = [f"published, {row.source}, {row.depth} layers: {row.error:.2f}" for row in rows]
        style = {"s": 34, "marker": "D", "facecolors": "none", "edgecolors": GREY, "label": "[A] Table 6"}
        drawing.points(axes, [row.depth for row in rows], [row.error for row in rows], text, **style)
        values += [row.error for row in rows]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(depths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    log_axis(axes, "y", values)
    axes.set(xlabel="layers", ylabel=error_label(cells))
    axes.legend(fontsize=8)
    return drawing


def by_bias(cells: pandas.DataFrame) -> Drawing | None:
    """Error against the gates' initial bias, one line for each gate; their baselines are horizontal lines."""
    biases = [_bias(config) for config in cells.config]
    gated = cells[[bias is not None for bias in biases]]
    lines = _lines(gated, "shortcut.bias_init", [bias for bias in biases if bias is not None])
    if not lines:
        return None
    figure, axes = blank(5.2, 3.4)
    drawing = Drawing(figure, "Error against the initial bias of the gate", _caption(gated))
    values = _draw(drawing, axes, lines, "b_g", first=1)
    levels = cells[cells.cell.isin(set(gated.baseline_cell)) & numpy.isfinite(cells["median"])]
    for at, (level, name) in enumerate(zip(levels["median"], labels(levels, settings=True), strict=True), 1):
        axes.axhline(level, color=COLOURS[0], lw=1.2, ls=DASHES[at % 8], label=short(name))
        values.append(level)
    log_axis(axes, "y", values)
    axes.set(xlabel="initial bias b_g of the gate (left: open; right: half shut)", ylabel=error_label(cells))
    axes.legend(fontsize=8)
    return drawing


def _bias(config: dict[str, Any]) -> float | None:
    """A gate's initial bias, if it has one that is a number."""
    value = config["shortcut"].get("bias_init")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _lines(cells: pandas.DataFrame, key: str, places: list[float]) -> dict[str, list[tuple[float, Any]]]:
    """Cells with their places along `key`, by a name without it; only names that have two places or more."""
    lines: dict[str, list[tuple[float, Any]]] = {}
    for name, x, cell in zip(labels(cells, key, settings=True), places, rows_of(cells), strict=True):
        lines.setdefault(name, []).append((x, cell))
    along = {
        name: sorted(line, key=lambda point: point[0]) for name, line in lines.items() if len({x for x, _ in line}) > 1
    }
    return dict(list(along.items())[:MOST_LINES])


def _draw(
    drawing: Drawing, axes: Axes, lines: dict[str, list[tuple[float, Any]]], word: str, first: int = 0
) -> list[float]:
    """Medians joined by lines, with a gap where there is none; bars between extreme seeds. Returns what was drawn."""
    values = []
    for at, (name, line) in enumerate(lines.items(), first):
        colour, marker, dash = COLOURS[at % 8], MARKERS[at % 8], DASHES[at % 8]
        for (x, left), (end, right) in pairwise(line):
            if numpy.isfinite([left.median, right.median]).all():
                y = numpy.maximum([left.median, right.median], TICKS[0])
                axes.plot([x, end], y, color=colour, ls=dash, lw=1.4)
        known = [(x, cell) for x, cell in line if numpy.isfinite(cell.median)]
        for x, cell in known:
            if numpy.isfinite(cell.maximum) and cell.maximum > cell.minimum:
                ends = numpy.maximum([cell.minimum, cell.maximum], TICKS[0])
                axes.plot([x, x], ends, color=colour, lw=1, marker="_", ms=5)
                values += [cell.minimum, cell.maximum]
        text = [f"{name}, {word} {x:g}: {wording.error(cell)}, n = {cell.n}" for x, cell in known]
        medians = [max(cell.median, TICKS[0]) for _, cell in known]
        drawing.points(axes, [x for x, _ in known], medians, text, s=36, color=colour, marker=marker, zorder=3)
        axes.plot([], [], color=colour, ls=dash, marker=marker, ms=6, lw=1.4, label=short(name))
        values += medians
        for x, cell in line:
            if numpy.isinf(cell.median):
                axes.text(x, 97, "diverged", rotation=90, ha="center", va="top", style="italic", color=colour)
                values.append(100)
    return values


def _caption(cells: pandas.DataFrame) -> str:
    return "Median over seeds; bars from the best seed to the worst." if (cells.n > 1).any() else "One seed."
