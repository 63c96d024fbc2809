"""What `probes=signal` measures, as maps of units and steps: a panel for each row of the table."""

import math
from typing import Any

import numpy

from ablate.report.figures.drawing import Drawing, short, styled
from ablate.report.signals import Measured

MOST = 9
"""Panels of a figure."""
TITLES = {
    "gradient": ("Gradient at each unit", "log10 of |dE/dx|"),
    "weights_gradient": ("Gradient of each unit's weights", "log10 of the norm"),
    "path": ("What the shortcuts alone keep from each unit to the last", "log2 of the gain"),
    "gate": ("Openness of the gates", "mean of 1 − g(x)"),
}


@styled
def units(key: str, rows: list[tuple[Any, Measured]], *, width: float | None = None) -> Drawing:
    """One number of all units over training, of the first MOST rows, in one scale of colours."""
    rows = rows[:MOST]
    title, label = TITLES[key]
    caption = f"{label}, by unit and step; mean over seeds. White: no number."
    columns = min(3, len(rows))
    lines = math.ceil(len(rows) / columns)
    drawing = Drawing(title, caption, (2.1 * columns + 1.2, 1.9 * lines + 0.5), width)
    drawing.axes.remove()
    panels = drawing.figure.subplots(lines, columns, squeeze=False, sharey=True)
    known = numpy.concatenate([measured.values[numpy.isfinite(measured.values)] for _, measured in rows])
    low, high = (0.0, 1.0) if key == "gate" else (float(known.min()), float(known.max()))
    for at, panel in enumerate(panels.flat):
        if at >= len(rows):
            panel.remove()
            continue
        row, measured = rows[at]
        panel.set_title(short(row.name), fontsize="small")
        edges = numpy.append(measured.steps, measured.steps[-1] * 1.1)
        mesh = panel.pcolormesh(
            edges, numpy.arange(len(measured.values) + 1) + 0.5, measured.values, cmap="viridis", vmin=low, vmax=high
        )
        mesh.set_rasterized(True)
        panel.set(xscale="log", xlim=(edges[0], edges[-1]))
        panel.xaxis.set_major_formatter("{x:g}")
        panel.grid(visible=False)
        if at % columns == 0:
            panel.set_ylabel("unit")
        if at + columns >= len(rows):
            panel.set_xlabel("step")
    drawing.figure.colorbar(mesh, ax=list(panels.flat)[: len(rows)], label=label)
    drawing.axes = panels.flat[0]
    return drawing
