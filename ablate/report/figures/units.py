"""What `probes=signal` measures, as maps of units and steps: a panel for each row of the table."""

import math
import textwrap
from typing import Any

import numpy
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from ablate.report.figures.drawing import Drawing, look, power, short, styled
from ablate.report.signals import Measured

MOST = 16
"""Rows in a figure."""
LOWEST = -64
"""Of the log2 of a gain that is drawn."""
NARROWEST = 1.8
"""Inches of a panel with its labels, in a paper."""
LETTERS = 10
"""Of a title, in an inch."""
TITLES = {
    "gradient": ("Gradient at each unit", "log10 of |dE/dx|"),
    "weights_gradient": ("Gradient of each unit's weights", "log10 of the norm"),
    "path": ("What the shortcuts alone keep from each unit to the last", "log2 of the gain"),
    "gate": ("Openness of the gates", "mean of 1 − g(x)"),
}


@styled
def gains(rows: list[tuple[Any, Measured, Measured | None]], *, width: float | None = None) -> Drawing:
    """log2 of what the shortcuts alone keep from each unit to the last, at the first and the last measured step, with
    theory's line: of each row its name, `path` and `theory`.
    """
    caption = (
        "The norm of a gradient after all shortcuts from a unit to the last, F held constant, relative to that of the "
        "identity ([B] eq. 8). Dotted: before the first step; wide: what theory says then; solid: at the last "
        "step that was measured. Mean over seeds. A row that keeps nothing has no line."
        + (f" The first {MOST} of {len(rows)} rows." if len(rows) > MOST else "")
    )
    drawing = Drawing("What the shortcuts keep of the gradient", caption, (5.6, 3.6), width)
    for at, (row, path, theory) in enumerate(rows[:MOST]):
        colour, marker, _ = look(at)
        x = numpy.arange(1, len(path.values) + 1)
        if theory:
            drawing.axes.plot(x, theory.values[:, 0], color=colour, lw=5, alpha=0.22, solid_capstyle="butt")
        drawing.axes.plot(x, path.values[:, 0], color=colour, lw=1, ls=":")
        every = max(1, len(x) // 6)
        last = path.values[:, -1]
        drawing.axes.plot(x, last, color=colour, lw=1.5, marker=marker, ms=4, markevery=every, label=short(row.name))
        known = numpy.isfinite(last)  # a page has no marks for others
        words = [f"{row.name}, unit {unit}: 2^{value:.3g}" for unit, value in zip(x[known], last[known], strict=True)]
        drawing.points(x[known], last[known], words)
    drawing.axes.yaxis.set_major_locator(MaxNLocator(7, integer=True))
    drawing.axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: power(2, y)))
    drawing.axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    drawing.axes.set(xlabel="unit", ylabel="gain to the last unit")
    drawing.axes.set_ylim(bottom=max(drawing.axes.get_ylim()[0], LOWEST))
    drawing.legend()
    return drawing


@styled
def units(key: str, rows: list[tuple[Any, Measured]], *, width: float | None = None) -> Drawing:
    """One number of all units over training, of the first MOST rows, in one scale of colours."""
    title, label = TITLES[key]
    some = f" The first {MOST} of {len(rows)} rows." if len(rows) > MOST else ""
    rows = rows[:MOST]
    caption = f"{label}, by unit and step; mean over seeds. White: no number.{some}"
    most = 3 if len(rows) <= 9 else 4
    columns = min(most, len(rows), max(1, int(width / NARROWEST)) if width else most)
    lines = math.ceil(len(rows) / columns)
    drawing = Drawing(title, caption, (2.1 * columns + 1.2, 1.9 * lines + 0.5), width)
    drawing.axes.remove()
    panels = drawing.figure.subplots(lines, columns, squeeze=False, sharey=True)
    letters = int(LETTERS * drawing.figure.get_figwidth() / columns)
    known = numpy.concatenate([measured.values[numpy.isfinite(measured.values)] for _, measured in rows])
    low, high = (0.0, 1.0) if key == "gate" else (float(known.min()), float(known.max()))
    for at, panel in enumerate(panels.flat):
        if at >= len(rows):
            panel.remove()
            continue
        row, measured = rows[at]
        panel.set_title(textwrap.fill(row.name, letters, max_lines=4, placeholder=" …"), fontsize="small")
        edges = numpy.append(measured.steps, measured.steps[-1] * 1.1)
        mesh = panel.pcolormesh(
            edges, numpy.arange(len(measured.values) + 1) + 0.5, measured.values, cmap="viridis", vmin=low, vmax=high
        )
        mesh.set_rasterized(True)
        panel.set(xscale="log", xlim=(edges[0], edges[-1]))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.xaxis.set_minor_formatter(NullFormatter())  # of few steps its labels take the panel's room
        panel.grid(visible=False)
        if at % columns == 0:
            panel.set_ylabel("unit")
        if at + columns >= len(rows):
            panel.set_xlabel("step")
    drawing.figure.colorbar(mesh, ax=list(panels.flat)[: len(rows)], label=label)
    drawing.axes = panels.flat[0]
    return drawing
