"""Learning curves of a cell and its baseline, as in [B] Fig. 3."""

import math
from typing import Any

from matplotlib import rc_context
from pandas import DataFrame

from ablate.report.curves import ERRORS, thin
from ablate.report.figures.drawing import STYLE, Drawing, look, short
from ablate.report.published import FAIL
from ablate.report.records import rows_of

TRAINING = ("--", ":")
MOST_TIPS = 60


@rc_context(STYLE)
def learning_curves(cell: Any, ours: DataFrame, base: Any, theirs: DataFrame, name: str) -> Drawing:
    """Training and test error against iterations; `ours` and `theirs` are the bands of the two cells' runs."""
    last = max(frame[key].iloc[-1] for frame in (ours, theirs) for key in ERRORS)
    top = FAIL if last < 0.8 * FAIL else 100.0
    drawing = Drawing(f"{name} against {base.label}", _caption(cell, base), 5.2, 3.4)
    axes = drawing.axes
    axes.set(xlabel="iterations", ylabel="error (%)", ylim=(0, top))
    for at, (row, frame) in enumerate(((base, theirs), (cell, ours))):
        (colour, marker, _), label, word = look(at), short(row.label), cell.evaluated_on
        solid: dict[str, Any] = {"lw": 1.8, "marker": marker, "markevery": thin(frame, 8), "ms": 5}
        axes.plot(frame.step, frame.test_error, color=colour, label=f"{label}, {word}", **solid)
        axes.plot(frame.step, frame.train_error, color=colour, lw=0.9, ls=TRAINING[at], label=f"{label}, training")
        for key, kind, alpha in (("test_error", word, 0.18), ("train_error", "training", 0.08)):
            low, high = frame[f"{key}_low"], frame[f"{key}_high"]
            if row.n > 1:
                axes.fill_between(frame.step, low, high, color=colour, alpha=alpha, lw=0)
            points = frame.iloc[thin(frame, MOST_TIPS)]
            points = points[points[key] <= top]  # matplotlib writes no mark beyond the axis
            words = [
                f"{row.label}, iteration {int(p.step):,}: {kind} error {getattr(p, key):.2f} %"
                + (f" ({getattr(p, key + '_low'):.2f} to {getattr(p, key + '_high'):.2f})" if p.n > 1 else "")
                for p in rows_of(points)
            ]
            drawing.points(points.step, points[key], words)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    drawing.legend()
    return drawing


def _caption(cell: Any, base: Any) -> str:
    counts = sorted({cell.n, base.n})
    seeds = f"Median of {' and '.join(map(str, counts))} seeds; bands from the best seed to the worst."
    ends = " A curve ends where the first of its runs diverged." if math.inf in (cell.maximum, base.maximum) else ""
    return f"Training error: mean over the epoch. {seeds if counts[-1] > 1 else 'One seed.'}{ends}"
