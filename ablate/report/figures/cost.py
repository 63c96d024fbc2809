"""Error against the cost of the network."""

from typing import Any

import numpy
import pandas
from matplotlib.ticker import FixedLocator, FuncFormatter

from ablate.report import wording
from ablate.report.figures.drawing import COLOURS, MARKERS, TICKS, Drawing, blank, error_label, log_axis, short
from ablate.report.keys import labels
from ablate.report.records import rows_of


def by_cost(cells: pandas.DataFrame) -> Drawing | None:
    """Error against multiply-adds for one image, area for parameters; None if all networks cost about the same."""
    known = numpy.isfinite(cells["median"]) & cells.multiply_adds.notna()
    shown = cells[known]
    low, high = shown.multiply_adds.min(), shown.multiply_adds.max()
    if not len(shown) or high < 1.25 * low:
        return None
    figure, axes = blank(5.6, 3.8)
    drawing = Drawing(
        figure,
        "Error against multiply-adds",
        "Median over seeds. The area of a mark is proportional to the network's parameters: "
        f"{shown.parameters.min() / 1e6:.2f} to {shown.parameters.max() / 1e6:.2f} million.",
    )
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
        style: dict[str, Any] = {
            "facecolors": COLOURS[at % 8] + "55",
            "edgecolors": COLOURS[at % 8],
            "linewidths": 1.2,
            "marker": MARKERS[at % 8],
        }
        x, y = [cell.multiply_adds for cell, _ in group], [max(cell.median, TICKS[0]) for cell, _ in group]
        drawing.points(axes, x, y, text, s=[max(12, scale * cell.parameters) for cell, _ in group], **style)
        axes.scatter([], [], s=30, label=short(shortcut), **style)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1e6:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    if high / low < 10:  # too narrow for ticks at powers of ten
        axes.xaxis.set_major_locator(FixedLocator(sorted({float(f"{x:.1e}") for x in numpy.geomspace(low, high, 4)})))
    axes.margins(0.12)
    log_axis(axes, "y", list(shown["median"]))
    axes.set(xlabel="multiply-adds for one image (millions)", ylabel=error_label(cells))
    axes.legend(fontsize=8, bbox_to_anchor=(1.0, 1.0), loc="upper left")
    return drawing
