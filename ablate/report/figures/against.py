"""Errors against depth, as [A] Fig. 6 and Table 6, against the initial bias of the gates, and against cost."""

from itertools import pairwise
from typing import Any

import numpy
from matplotlib.ticker import NullLocator
from pandas import DataFrame

from ablate.report import wording
from ablate.report.figures.drawing import COLOURS, GREY, TICKS, Drawing, error_label, log_axis, look, short
from ablate.report.keys import labels
from ablate.report.published import TABLE_6
from ablate.report.records import rows_of


def by_depth(cells: DataFrame) -> Drawing | None:
    """Error against depth; None if no row has two depths."""
    lines = _lines(cells, "depth", [float(depth) for depth in cells.depth])
    if not lines:
        return None
    drawing = Drawing("Error against depth", _caption(cells), 5.2, 3.4)
    axes = drawing.axes
    depths = sorted({int(x) for line in lines.values() for x, _ in line})
    values = _draw(drawing, lines, "depth")
    if set(cells.data) == {"cifar10"}:
        rows = [row for row in TABLE_6 if row.depth in depths]
        text = [f"published, {row.source}, {row.depth} layers: {row.error:.2f}" for row in rows]
        style = {"s": 34, "marker": "D", "facecolors": "none", "edgecolors": GREY, "label": "[A] Table 6"}
        drawing.points([row.depth for row in rows], [row.error for row in rows], text, **style)
        values += [row.error for row in rows]
    axes.set_xscale("log")
    axes.set_xticks(depths, [str(depth) for depth in depths])
    axes.xaxis.set_minor_locator(NullLocator())
    log_axis(axes, "y", values)
    axes.set(xlabel="layers", ylabel=error_label(cells))
    axes.legend(fontsize=8)
    return drawing


def by_bias(cells: DataFrame) -> Drawing | None:
    """Error against the gates' initial bias, one line for each gate; their baselines are horizontal lines."""
    gated = cells[[type(config["shortcut"].get("bias_init")) in (int, float) for config in cells.config]]
    lines = _lines(gated, "shortcut.bias_init", [float(config["shortcut"]["bias_init"]) for config in gated.config])
    if not lines:
        return None
    drawing = Drawing("Error against the initial bias of the gate", _caption(gated), 5.2, 3.4)
    axes = drawing.axes
    values = _draw(drawing, lines, "b_g", first=1)
    levels = cells[cells.cell.isin(set(gated.baseline_cell)) & numpy.isfinite(cells["median"])]
    for at, (level, name) in enumerate(zip(levels["median"], labels(levels, settings=True), strict=True), 1):
        axes.axhline(level, color=COLOURS[0], lw=1.2, ls=look(at)[2], label=short(name))
        values.append(level)
    log_axis(axes, "y", values)
    axes.set(xlabel="initial bias b_g of the gate (left: open; right: half shut)", ylabel=error_label(cells))
    axes.legend(fontsize=8)
    return drawing


def by_cost(cells: DataFrame) -> Drawing | None:
    """Error against multiply-adds for one image, area for parameters; None if all networks cost about the same."""
    known = numpy.isfinite(cells["median"]) & cells.multiply_adds.notna()
    shown = cells[known]
    low, high = shown.multiply_adds.min(), shown.multiply_adds.max()
    if not len(shown) or high < 1.25 * low:
        return None
    caption = (
        "Median over seeds. The area of a mark is proportional to the network's parameters: "
        f"{shown.parameters.min() / 1e6:.2f} to {shown.parameters.max() / 1e6:.2f} million."
    )
    drawing = Drawing("Error against multiply-adds", caption, 5.6, 3.8)
    axes = drawing.axes
    groups: dict[str, list[tuple[Any, str]]] = {}
    for cell, name in zip(rows_of(shown), numpy.array(labels(cells, settings=True))[known], strict=True):
        groups.setdefault(cell.shortcut, []).append((cell, name))
    scale = 260 / shown.parameters.max()
    for at, (shortcut, group) in enumerate(groups.items()):
        text = [
            f"{name}: {wording.error(cell)}, {cell.multiply_adds / 1e6:,.2f} million multiply-adds, "
            f"{cell.parameters:,.0f} parameters"
            for cell, name in group
        ]
        colour, marker, _ = look(at)
        style: Any = {"facecolors": f"{colour}55", "edgecolors": colour, "linewidths": 1.2, "marker": marker}
        x, y = [cell.multiply_adds for cell, _ in group], [max(cell.median, TICKS[0]) for cell, _ in group]
        drawing.points(x, y, text, s=[max(12, scale * cell.parameters) for cell, _ in group], **style)
        axes.scatter([], [], s=30, label=short(shortcut), **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g}")
    axes.xaxis.set_minor_formatter("")
    if high / low < 10:  # too narrow for ticks at powers of ten
        axes.set_xticks(sorted({float(f"{x:.1e}") for x in numpy.geomspace(low, high, 4)}))
    axes.margins(0.12)
    log_axis(axes, "y", list(shown["median"]))
    axes.set(xlabel="multiply-adds for one image (millions)", ylabel=error_label(cells))
    axes.legend(fontsize=8, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return drawing


def _lines(cells: DataFrame, key: str, places: list[float]) -> dict[str, list[tuple[float, Any]]]:
    """Cells with their places along `key`, by a name without it; only names that have two places or more."""
    lines: dict[str, list[tuple[float, Any]]] = {}
    for name, x, cell in zip(labels(cells, key, settings=True), places, rows_of(cells), strict=True):
        lines.setdefault(name, []).append((x, cell))
    along = {
        name: sorted(line, key=lambda point: point[0]) for name, line in lines.items() if len({x for x, _ in line}) > 1
    }
    return dict(list(along.items())[: len(COLOURS)])


def _draw(drawing: Drawing, lines: dict[str, list[tuple[float, Any]]], word: str, first: int = 0) -> list[float]:
    """Medians joined by lines, with a gap where there is none; bars between extreme seeds. Returns what was drawn."""
    values, axes = [], drawing.axes
    for at, (name, line) in enumerate(lines.items(), first):
        colour, marker, dash = look(at)
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
        drawing.points([x for x, _ in known], medians, text, s=36, color=colour, marker=marker, zorder=3)
        axes.plot([], [], color=colour, ls=dash, marker=marker, ms=6, lw=1.4, label=short(name))
        values += medians
        for x, cell in line:
            if numpy.isinf(cell.median):
                axes.text(x, 97, "diverged", rotation=90, ha="center", va="top", style="italic", color=colour)
                values.append(100)
    return values


def _caption(cells: DataFrame) -> str:
    return "Median over seeds; bars from the best seed to the worst." if (cells.n > 1).any() else "One seed."
