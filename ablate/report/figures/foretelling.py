"""The error of trained networks by what was measured before: a panel for each measure."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from ablate.report.figures.drawing import COLOURS, GREY, Drawing, log_axis, look, power, styled
from ablate.report.foretelling import Foretold, titled
from ablate.report.published import FAIL

COLUMNS = 4
POWERS = {"path": 2, "with f": 2, "added": 2, "gradient": 10, "scales": 2, "loss": 2}
"""Measures that are drawn by their logarithm, and its base."""
SMALLEST, LARGEST = 2.0**-60, {"loss": 2.0**10}
"""Gains below are drawn at the first; losses above, of runs that diverged, at the second."""
LEVELS = ("fail", "plain", "higher", "train")
"""The sentences of ablate probe, in short."""


@styled
def draw(runs: Sequence[dict[str, Any]], found: Sequence[Foretold], *, width: float | None = None) -> Drawing:
    """One mark for each run; those of one shortcut have one colour and shape."""
    single = [one for one in found if ", " not in one.name]
    caption = (
        "One mark for each run: its test error by what was measured before it trained, or in its first epoch. Smaller "
        "gains are drawn at 2^-60, larger losses, of runs that diverged, at 2^10. Dotted: "
        f"{FAIL:g} %, above which [B] prints fail. In the titles: rank correlation."
    )
    lines = -(-len(single) // COLUMNS)
    drawing = Drawing("The error by what was measured before", caption, (9.6, 2.4 * lines + 0.6), width)
    drawing.axes.remove()
    panels = drawing.figure.subplots(lines, COLUMNS, squeeze=False, sharey=True)
    for at, panel in enumerate(panels.flat):
        if at >= len(single):
            panel.remove()
            continue
        drawing.axes = panel
        _panel(drawing, single[at], runs)
        if at % COLUMNS == 0:
            panel.set_ylabel("test error (%)")
    for at, shortcut in enumerate(_shortcuts(runs)):
        colour, marker, _ = look(at)
        panels.flat[0].add_line(Line2D([], [], color=colour, marker=marker, ls="", ms=4, label=shortcut))
    drawing.legend(len(COLOURS))
    return drawing


def _panel(drawing: Drawing, one: Foretold, runs: Sequence[dict[str, Any]]) -> None:
    panel = drawing.axes
    log_axis(panel, "y", [run["error"] for run in runs])
    panel.axhline(FAIL, color=GREY, lw=0.8, ls=":")
    panel.set_title(f"{titled(one.name)}: {one.correlation.value:.2f}", fontsize="small")
    if base := POWERS.get(one.name):
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: power(base, x)))
        panel.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    elif one.name == "sentence":
        panel.set_xticks(range(len(LEVELS)), labels=LEVELS)
        panel.set_xlim(-0.5, len(LEVELS) - 0.5)
    for at, shortcut in enumerate(_shortcuts(runs)):
        own = [run for run in runs if run["shortcut"] == shortcut]
        x = [run["measures"][one.name] for run in own]
        colour, marker, _ = look(at)
        drawing.points(
            [math.log(min(max(value, SMALLEST), LARGEST.get(one.name, math.inf)), base) for value in x] if base else x,
            [run["error"] for run in own],
            [f"{run['name']}, depth {run['depth']}: {run['error']:.2f} %" for run in own],
            **{"s": 16, "color": colour, "marker": marker, "alpha": 0.7, "linewidths": 0},
        )


def _shortcuts(runs: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({run["shortcut"] for run in runs})
