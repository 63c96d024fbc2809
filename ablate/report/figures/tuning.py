"""What tuning found: held-out error by value and by number of trials, a panel for each row."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy
from matplotlib.ticker import FuncFormatter

from ablate.report.figures.drawing import COLOURS, GREY, Drawing, log_axis, short, styled

COLUMNS = 4
CONFIDENCE = 0.95


class Panel(NamedTuple):
    """A row's trials: the value of each (trials,), its held-out error, inf if it diverged; the value that was chosen;
    the common value.
    """

    name: str
    values: Sequence[float]
    errors: Sequence[float]
    chosen: float
    common: float | None


@styled
def by_value(rows: Sequence[Panel], key: str, *, log: bool, width: float | None = None) -> Drawing:
    """Held-out error by the value of one key."""
    caption = (
        "One mark for each trial: its error on held-out images. A ring marks the one that was chosen. Dashed: the "
        "common value. A triangle at the top: the trial diverged."
    )
    drawing, panels = _panels(rows, f"Held-out error by {key}", caption, width)
    finite = [error for row in rows for error in row.errors if math.isfinite(error)]
    for at, (row, panel) in enumerate(zip(rows, panels, strict=False)):
        drawing.axes = panel
        bottom, top = log_axis(panel, "y", finite)
        if log:
            panel.set_xscale("log")
            panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        if row.common is not None:
            panel.axvline(row.common, color=GREY, lw=0.8, ls="--")
        gone = [not math.isfinite(error) for error in row.errors]
        x = numpy.array(row.values, float)
        y = numpy.array([max(error, bottom) if math.isfinite(error) else top / 1.06 for error in row.errors])
        for out, marker in ((False, "o"), (True, "^")):
            which = numpy.array(gone) == out
            words = [
                f"{row.name}, {key}={value:g}: {'diverged' if out else f'{error:.2f} %'}"
                for value, error, gone_too in zip(row.values, row.errors, gone, strict=True)
                if gone_too == out
            ]
            if words:
                drawing.points(x[which], y[which], words, s=18, color=COLOURS[0], marker=marker, linewidths=0)
        place = row.values.index(row.chosen)
        panel.plot(x[place], y[place], "o", ms=9, mfc="none", mec=COLOURS[1], mew=1.4)
        if at >= len(rows) - COLUMNS:
            panel.set_xlabel(key)
    return drawing


@styled
def by_trials(rows: Sequence[Panel], *, width: float | None = None) -> Drawing:
    """The held-out error of the best of n trials: its median, and a band that holds the whole curve."""
    from opda.nonparametric import EmpiricalDistribution

    count = max(len(row.errors) for row in rows)
    caption = (
        "The median error on held-out images of the best of n random trials, with a 95 % band for the whole curve "
        "(opda; Lourie et al., arXiv:2311.09480). Sobol points are more even than random ones, so the band is on the "
        "safe side. Where it has no upper end, too many of the trials diverged, or they are too few."
    )
    drawing, panels = _panels(rows, "Held-out error by the number of trials", caption, width)
    ns = numpy.arange(1, count + 1)
    finite = [error for row in rows for error in row.errors if math.isfinite(error)]
    for at, (row, panel) in enumerate(zip(rows, panels, strict=False)):
        drawing.axes = panel
        bottom, top = log_axis(panel, "y", finite)
        ys = numpy.array([error if math.isfinite(error) else 100.0 for error in row.errors])
        with warnings.catch_warnings():  # of equal errors, which are counted: the band then covers more often
            warnings.simplefilter("ignore", RuntimeWarning)
            bands = EmpiricalDistribution.confidence_bands(ys, CONFIDENCE, 0.0, 100.0, method="ld_equal_tailed")
        low, point, high = bands
        # A lower distribution function has higher errors: its curve is the upper end.
        curves = [one.quantile_tuning_curve(ns, q=0.5, minimize=True) for one in (high, point, low)]
        below, middle, above = (numpy.clip(curve, bottom, top) for curve in curves)
        panel.fill_between(ns, below, above, color=COLOURS[2], alpha=0.2, lw=0)
        panel.plot(ns, middle, color=COLOURS[2], marker="o", ms=3)
        words = [
            f"{row.name}, {n} trials: {best:.2f} % ({a:.2f} to {b:.2f})"
            for n, a, best, b in zip(ns.tolist(), *curves, strict=True)
        ]
        drawing.points(ns, middle, words)
        if at >= len(rows) - COLUMNS:
            panel.set_xlabel("trials")
    return drawing


def _panels(rows: Sequence[Panel], title: str, caption: str, width: float | None) -> tuple[Drawing, list[Any]]:
    lines = -(-len(rows) // COLUMNS)
    drawing = Drawing(title, caption, (9.6, 2.0 * lines + 0.4), width)
    drawing.axes.remove()
    grid = drawing.figure.subplots(lines, COLUMNS, squeeze=False, sharey=True)
    for at, panel in enumerate(grid.flat):
        if at >= len(rows):
            panel.remove()
            continue
        panel.set_title(short(rows[at].name), fontsize="small")
        if at % COLUMNS == 0:
            panel.set_ylabel("held-out error (%)")
    return drawing, list(grid.flat)[: len(rows)]
