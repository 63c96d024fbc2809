"""What `probes=signal` measures inside the networks, against iterations."""

from typing import Any

from pandas import DataFrame

from ablate.report.curves import thin
from ablate.report.figures.drawing import COLOURS, Drawing, look, short, styled

MOST_TIPS = 60
LOGARITHMIC = 50
"""The ratio of the largest to the smallest value from which the axis is logarithmic."""
WORDS = {"gate_openness": "mean of 1 − g(x)", "gradient": "norm of the gradient of the weights"}


@styled
def probe(name: str, rows: list[tuple[Any, DataFrame]], *, width: float | None = None) -> Drawing:
    """The probe `name`, as gradient/stage1, one line for each cell: `rows` are cells with the bands of their runs."""
    what, _, stage = name.rpartition("/")
    more = f" The first {len(COLOURS)} of {len(rows)} rows." if len(rows) > len(COLOURS) else ""
    several = any(cell.n > 1 for cell, _ in rows)
    caption = f"{'Mean over seeds; bands from the lowest to the highest.' if several else 'One seed.'}{more}"
    drawing = Drawing(f"{what} in {stage.replace('stage', 'stage ')}", caption, (5.2, 3.4), width)
    axes = drawing.axes
    for at, (cell, frame) in enumerate(rows[: len(COLOURS)]):
        colour, marker, dash = look(at)
        style: dict[str, Any] = {"marker": marker, "markevery": thin(frame, 8), "ms": 4, "lw": 1.4, "ls": dash}
        axes.plot(frame.step, frame[name], color=colour, label=short(cell.name), **style)
        if cell.n > 1:
            axes.fill_between(frame.step, frame[f"{name}_low"], frame[f"{name}_high"], color=colour, alpha=0.15, lw=0)
        points = frame.iloc[thin(frame, MOST_TIPS)]
        pairs = zip(points.step, points[name], strict=True)
        words = [f"{cell.name}, iteration {step:,.0f}: {name} {value:.3g}" for step, value in pairs]
        drawing.points(points.step, points[name], words)
    values = [value for _, frame in rows for value in (frame[name].min(), frame[name].max())]
    if min(values) > 0 and max(values) > LOGARITHMIC * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set(xlabel="iterations", ylabel=WORDS.get(what, what))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    drawing.legend()
    return drawing
