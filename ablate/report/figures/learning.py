"""Learning curves of a cell and its baseline, as in [B] Fig. 3."""

from typing import Any

from pandas import DataFrame

from ablate.report.curves import thin
from ablate.report.figures.drawing import TICKS, Drawing, look, short, styled
from ablate.runs.record import ERRORS

TRAINING = ("--", ":")
MOST_TIPS = 60


@styled
def learning_curves(rows: list[tuple[Any, DataFrame]], *, width: float | None = None) -> Drawing:
    """Training and test error against iterations of a cell alone, or of its baseline and of itself, each with the band
    of its runs.
    """
    cell, base = rows[-1][0], rows[0][0]
    last = max(frame[key].iloc[-1] for _, frame in rows for key in ERRORS)
    top = next((tick for tick in TICKS if 1.25 * last < tick), TICKS[-1])
    counts = sorted({row.n for row, _ in rows})
    seeds = f"Mean of {' and '.join(map(str, counts))} seeds; bands from the best seed to the worst."
    counted = {"diverged": "diverged", "stopped": "was stopped at chance"}
    ended = [words for column, words in counted.items() if any(getattr(row, column) for row, _ in rows)]
    ends = f" A curve ends where the first of its runs {' or '.join(ended)}." if ended else ""
    caption = f"Training error: mean over the epoch. {seeds if counts[-1] > 1 else 'One seed.'}{ends}"
    alike = cell is not base and cell.label == base.label
    names = [row.name if alike else row.label for row, _ in rows]
    title = cell.name if cell is base else f"{cell.name} against {names[0]}"
    drawing = Drawing(title, caption, (5.2, 3.4), width)
    axes = drawing.axes
    axes.set(xlabel="iterations", ylabel="error (%)", ylim=(0, top))
    for at, (row, frame) in enumerate(rows):
        colour, marker, _ = look(at)
        solid: dict[str, Any] = {"lw": 1.8, "marker": marker, "markevery": thin(frame, 8), "ms": 5}
        dashed: dict[str, Any] = {"lw": 0.9, "ls": TRAINING[at]}
        curves = (("test_error", row.evaluated_on, solid, 0.18), ("train_error", "training", dashed, 0.08))
        for key, kind, line, alpha in curves:
            axes.plot(frame.step, frame[key], color=colour, label=f"{short(names[at])}, {kind}", **line)
            low, high = f"{key}_low", f"{key}_high"
            if row.n > 1:
                axes.fill_between(frame.step, frame[low], frame[high], color=colour, alpha=alpha, lw=0)
            points = frame.iloc[thin(frame, MOST_TIPS)]
            points = points[points[key] <= top]  # matplotlib writes no mark beyond the axis
            span = " ({:.2f} to {:.2f})" if row.n > 1 else ""
            words = [
                f"{names[at]}, iteration {step:,.0f}: {kind} error {error:.2f} %{span.format(*ends)}"
                for step, error, *ends in points[["step", key, low, high]].to_numpy()
            ]
            drawing.points(points.step, points[key], words)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    drawing.legend()
    return drawing
