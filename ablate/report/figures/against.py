"""Errors against a number in which rows differ, such as depth ([A] Fig. 6) or the initial bias of the gates."""

from typing import Any

import numpy
from matplotlib.ticker import NullLocator
from pandas import DataFrame

from ablate.report import wording
from ablate.report.figures.drawing import (
    COLOURS,
    GREY,
    TICKS,
    Drawing,
    error_label,
    log_axis,
    look,
    short,
    styled,
    wrapped,
)
from ablate.report.keys import labels
from ablate.report.published import TABLE_6
from ablate.report.records import rows_of
from ablate.runs.naming import differing, flatten

AXES = {"depth": "layers", "shortcut.bias_init": "initial bias b_g of the gate (left: open; right: half shut)"}


def swept(cells: DataFrame) -> list[str]:
    """The dotted keys in which cells have different numbers."""
    flat = [flatten(config) for config in cells.config]
    return [key for key in differing(flat, "seed") if len({one[key] for one in flat if _has_number(one, key)}) > 1]


@styled
def against(cells: DataFrame, key: str, *, width: float | None = None) -> Drawing | None:
    """Error against a dotted key, one line for the cells that differ in it alone; None if there is no line.

    Baselines that have no such key, as the identity has no bias, are horizontal lines.
    """
    flat = [flatten(config) for config in cells.config]
    has = numpy.array([_has_number(one, key) for one in flat])
    shown = cells[has].assign(x=[float(one[key]) for one in flat if _has_number(one, key)])
    shown["name"] = labels(shown, key, settings=True)
    lines = [line.sort_values("x") for _, line in shown.groupby("name", sort=False) if line.x.nunique() > 1]
    if not lines:
        return None
    bars = "; bars from the best seed to the worst" if (shown.n > 1).any() else ""
    part = f" The first {len(COLOURS)} of {len(lines)} rows." if len(lines) > len(COLOURS) else ""
    drawing = Drawing(f"Error against {key}", f"Mean over seeds{bars}.{part}", (5.2, 3.4), width)
    axes, values = drawing.axes, []
    bases = cells[~has & cells.cell.isin(shown.baseline_cell) & cells["mean"].notna()]
    for at, line in enumerate(lines[: len(COLOURS)], int(len(bases) > 0)):
        values += _draw(drawing, at, key, line)
    for at, (level, name) in enumerate(zip(bases["mean"], labels(bases, settings=True), strict=True), 1):
        axes.axhline(level, color=COLOURS[0], lw=1.2, ls=look(at)[2], label=short(name))
        values.append(level)
    ticks = sorted({x for line in lines for x in line.x})
    if key == "depth" and set(cells.data) == {"cifar10"}:
        rows = [row for row in TABLE_6 if row.depth in ticks]
        text = [f"published, {row.source}, {row.depth} layers: {row.error:.2f}" for row in rows]
        style = {"s": 34, "marker": "D", "facecolors": "none", "edgecolors": GREY, "label": "[A] Table 6"}
        drawing.points([row.depth for row in rows], [row.error for row in rows], text, **style)
        values += [row.error for row in rows]
    axes.set_xscale("log" if ticks[0] > 0 else "linear")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    log_axis(axes, "y", values)
    axes.set(xlabel=wrapped(AXES.get(key, key), width, 40), ylabel=error_label(cells))
    drawing.legend()
    return drawing


def _has_number(flat: dict[str, Any], key: str) -> bool:
    return type(flat.get(key)) in (int, float)


def _draw(drawing: Drawing, at: int, key: str, line: DataFrame) -> list[float]:
    """Means joined by a line, with a gap where there is none; bars between extreme seeds. Returns what was drawn."""
    axes, name = drawing.axes, line.name.iloc[0]
    colour, marker, dash = look(at)
    known, diverged = line[line["mean"].notna()], line[line.diverged > 0]
    spread = known[known.n > 1]
    means = known["mean"].clip(TICKS[0])
    axes.plot(line.x, means.reindex(line.index), color=colour, ls=dash, marker=marker, lw=1.4, label=short(name))
    axes.vlines(spread.x, spread.minimum.clip(TICKS[0]), spread.maximum.clip(TICKS[0]), color=colour, lw=1)
    text = [f"{name}, {key} {cell.x:g}: {wording.error(cell)}, n = {cell.n}" for cell in rows_of(known)]
    drawing.points(known.x, means, text)
    for x in diverged.x:
        axes.text(x, 97, "diverged", rotation=90, ha="center", va="top", style="italic", color=colour)
    return [*means, *spread.minimum, *spread.maximum, *([100.0] if len(diverged) else [])]
