"""How well measures of networks before training foretell their errors after it: the statistics of `ablate foretell`.

A run is a dict of plain values, as foretell.json holds it: its `name`; its `row`, the shortcut with its parameters; the
`shortcut`'s class; its `setting`, all else but the seed; its `error` in percent; and its `measures`, finite numbers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.stats import rankdata

from ablate.report import stats
from ablate.report.published import FAIL

Array = NDArray[numpy.float64]
PROBES = {
    "sentence": "the sentence of ablate probe",
    "path": "gain of the shortcut path",
    "with f": "gain of the shortcut path with f",
    "added": "what the units add of F(x)",
    "path, with f, added": "these three together",
    "sentence, depth": "the sentence and the number of units",
}
"""What is measured of the shortcuts before training."""
LAST = [*PROBES][-1]
RIVALS = {
    "depth": "number of units",
    "gradient": "gradient norm at the first unit",
    "scales": "depth over the mean-field scale",
    "loss": "training loss of the first epoch",
}
"""What a researcher has without them. The depth scale is 1/|log χ|, χ the mean factor by which a unit multiplies the
squared norm of the gradient, from the first unit to the last (ξ∇ of Schoenholz et al. 2017, arXiv:1611.01232)."""
DRAWS = 1000
"""Of the bootstrap."""
FEWEST_ROWS = 5
"""Rows from which there are intervals: all draws of one row are the same, and of a few rows they are few."""
FEWEST = 4
"""Runs of a setting from which a rank correlation within it is taken."""


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval over rows."""

    value: float
    low: float
    high: float

    def written(self) -> str:
        """0.71 [0.52, 0.83], 0.71 without an interval, or nothing where there is no value."""
        if math.isnan(self.value):
            return ""
        return f"{self.value:.2f}" + ("" if math.isnan(self.low) else f" [{self.low:.2f}, {self.high:.2f}]")


@dataclass(frozen=True)
class Foretold:
    """How well one measure, or several together, foretell the error.

    `correlation`: Spearman's, of the measure and the error. `within`: the mean of those within a setting, which the
    setting itself cannot foretell. `left_out`: of the error and that predicted for it from the other shortcuts' runs.
    For a measure that foretells nothing it is below 0: without a shortcut of high errors, the mean of the others is
    lower. `called`: the mean of two shares that this prediction gets right, of failed runs and of others.
    """

    name: str
    correlation: Interval
    within: Interval
    left_out: Interval
    called: Interval

    def facts(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def foretold(runs: Sequence[dict[str, Any]]) -> list[Foretold]:
    """How well each of PROBES and RIVALS does."""
    study = _Study(runs)
    return [study.foretold(name) for name in (*PROBES, *RIVALS)]


def check(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs of a foretell.json. Raises one of the errors of values and types if they are none."""
    singles = [name for name in (*PROBES, *RIVALS) if ", " not in name]
    for run in runs:
        numbers = [run["error"], run["depth"], *(run["measures"][name] for name in singles)]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(numbers)
        if not all(isinstance(run[key], str) for key in ("name", "row", "shortcut", "setting")):
            raise TypeError(run)
    return list(runs)


class _Study:
    def __init__(self, runs: Sequence[dict[str, Any]]) -> None:
        self.runs = runs
        self.errors = numpy.array([run["error"] for run in runs])
        self.shortcuts = numpy.array([run["shortcut"] for run in runs])
        self.settings = numpy.array([run["setting"] for run in runs])
        named = numpy.array([run["row"] for run in runs])
        rows = [numpy.flatnonzero(named == row) for row in numpy.unique(named)]
        self.rows = len(rows)
        picks = numpy.random.default_rng(0).integers(len(rows), size=(DRAWS, len(rows)))
        # Runs of one row resemble each other, so whole rows are drawn.
        self.draws = [numpy.concatenate([rows[row] for row in pick]) for pick in picks]

    def foretold(self, name: str) -> Foretold:
        parts = numpy.array([[run["measures"][part] for run in self.runs] for part in name.split(", ")], dtype=float)
        ranks = rankdata(parts, axis=-1)  # so that a gain of 0, whose logarithm is infinite, is one more value
        everything = numpy.arange(len(self.errors))
        score = _score(ranks, self.errors, everything)
        predicted = self._left_out(ranks)
        return Foretold(
            name,
            self._interval(lambda at: _spearman(score[at], self.errors[at])),
            self._interval(lambda at: self._within(score, at)),
            self._interval(lambda at: _spearman(predicted[at], self.errors[at])),
            self._interval(lambda at: called(predicted[at] > FAIL, self.errors[at] > FAIL)),
        )

    def _left_out(self, ranks: Array) -> Array:
        """The error predicted for each run from the runs of the other shortcuts: a monotone function of the score."""
        out = numpy.full(len(self.errors), numpy.nan)
        for shortcut in numpy.unique(self.shortcuts):
            held = self.shortcuts == shortcut
            known = numpy.flatnonzero(~held)
            if not len(known):
                continue
            score = _score(ranks, self.errors, known)
            out[held] = monotone(score[known], self.errors[known], score[held])
        return out

    def _within(self, score: Array, at: NDArray[numpy.int64]) -> float:
        found, weights = [], []
        for setting in numpy.unique(self.settings[at]):
            own = at[self.settings[at] == setting]
            rho = _spearman(score[own], self.errors[own]) if len(own) >= FEWEST else numpy.nan
            if not numpy.isnan(rho):
                found.append(rho)
                weights.append(len(own) - 1)
        return float(numpy.average(found, weights=weights)) if found else numpy.nan

    def _interval(self, of: Callable[[NDArray[numpy.int64]], float]) -> Interval:
        drawn = numpy.array([of(at) for at in self.draws])
        known = drawn[~numpy.isnan(drawn)]
        enough = self.rows >= FEWEST_ROWS and len(known) > DRAWS / 2
        low, high = numpy.quantile(known, [0.025, 0.975]) if enough else (numpy.nan, numpy.nan)
        return Interval(of(numpy.arange(len(self.errors))), float(low), float(high))


def monotone(x: Array, y: Array, at: Array) -> Array:
    """Y at `at` (m,), by isotonic regression of y (n,) on x (n,), rising or falling as their rank correlation does.

    It is linear between two x and constant outside.
    """
    places, where, counts = numpy.unique(x, return_inverse=True, return_counts=True)
    means = numpy.bincount(where, y) / counts
    rises = not _spearman(x, y) < 0
    fitted = isotonic_regression(means, weights=counts, increasing=rises).x
    return numpy.asarray(numpy.interp(at, places, fitted), dtype=float)


def called(said: NDArray[numpy.bool_], true: NDArray[numpy.bool_]) -> float:
    """Balanced accuracy: the mean of the shares of `true` (n,) and of the others that `said` has right; NaN if one of
    the two is empty.
    """
    if true.all() or not true.any():
        return numpy.nan
    return float((said[true].mean() + (~said[~true]).mean()) / 2)


def _score(ranks: Array, errors: Array, known: NDArray[numpy.int64]) -> Array:
    """One number for each run: the ranks of a measure; of several, the sum with the weights that are nearest to the
    ranks of the errors of the `known` runs.
    """
    if len(ranks) == 1:
        return ranks[0]
    columns = numpy.vstack([ranks, numpy.ones(ranks.shape[1])]).T
    weights = numpy.linalg.lstsq(columns[known], rankdata(errors[known]), rcond=None)[0]
    return numpy.asarray(columns @ weights, dtype=float)


def _spearman(a: Array, b: Array) -> float:
    return stats.rank_correlation(a, b)[0]


def markdown(runs: Sequence[dict[str, Any]], found: Sequence[Foretold]) -> str:
    """The table, and what it is of."""
    head = ["measured", *HEADINGS]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * len(HEADINGS)]
    for one in found:
        lines.append("| " + " | ".join([titled(one.name), *cells(one)]) + " |")
    return "\n".join([*lines, "", summary(runs), ""])


HEADINGS = ("rank correlation", "within a network", "shortcut left out", "failed or not")


def titled(name: str) -> str:
    """What is measured, in words."""
    return (PROBES | RIVALS)[name]


def cells(one: Foretold) -> list[str]:
    """The row of a table, after its name."""
    return [each.written() for each in (one.correlation, one.within, one.left_out, one.called)]


def summary(runs: Sequence[dict[str, Any]]) -> str:
    """What was measured, in one sentence."""
    rows, settings, shortcuts = (len({run[key] for run in runs}) for key in ("row", "setting", "shortcut"))
    failed = sum(run["error"] > FAIL for run in runs)
    return (
        f"{len(runs)} runs of {rows} rows of {shortcuts} shortcuts in {settings} networks and recipes; {failed} have "
        f"an error above {FAIL:g} %. Intervals are 95 %, from {DRAWS:,} draws of rows with replacement."
    )
