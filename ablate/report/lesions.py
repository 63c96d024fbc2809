"""Lesions of trained networks in words and numbers: what `ablate lesion` found of runs, seeds together."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ablate.base.errors import AblateError
from ablate.report import stats
from ablate.report.formats import markdown_text

COVERED = 0.9
"""Share of the gradient for which the range of path lengths is given."""
HEADINGS = (
    *("network", "seeds", "error (%)", "one unit that keeps the shape dropped", "any unit dropped, at most"),
    f"path length, {COVERED:.0%} of the gradient",
)


@dataclass(frozen=True)
class Row:
    """Runs that differ in the seed alone; errors in percent."""

    name: str
    runs: list[dict[str, Any]]

    @property
    def intact(self) -> list[float]:
        """The error of each run as it was trained."""
        return [run["intact"] for run in self.runs]

    def alone(self, *, changing: bool | None = None) -> list[list[float]]:
        """Of each run the error without each of its units; of those that change the shape, or of the others."""
        chosen = [changing in (None, unit["changes_shape"]) for unit in self.runs[0]["units"]]
        return [
            [one["error"] for one, wanted in zip(run["alone"], chosen, strict=True) if wanted]
            for run in self.runs
            if "alone" in run
        ]

    def one_dropped(self) -> list[float]:
        """Of each run the mean error without one of the units that keep the shape; empty if there are none."""
        return [statistics.fmean(one) for one in self.alone(changing=False) if one]

    def shares(self) -> list[list[float]]:
        """Of each run the share of the gradient that comes through paths of each length."""
        return [shares([_fmean(one["norms"]) for one in run["paths"]]) for run in self.runs if "paths" in run]

    def cells(self) -> list[str]:
        """The row of a table, after its name."""
        kept, every = self.one_dropped(), self.alone()
        lengths = [_range(one) for one in self.shares() if any(one)]
        return [
            str(len(self.runs)),
            _mean(self.intact),
            _mean(kept) if kept else "",
            f"{max(map(max, every)):.2f}" if every else "",
            f"{min(low for low, _ in lengths)} to {max(high for _, high in lengths)}" if lengths else "",
        ]

    def sentence(self) -> str:
        """What one dropped unit does, without the name."""
        units, kept = self.runs[0]["units"], self.one_dropped()
        if not kept:
            return f"error {_mean(self.intact)} %"
        intact = [run["intact"] for run in self.runs if "alone" in run]
        change = [after - before for after, before in zip(kept, intact, strict=True)]
        same = sum(not unit["changes_shape"] for unit in units)
        units_that = f"the {same} units that keep" if same > 1 else "the one unit that keeps"
        return (
            f"without {'one of ' * (same > 1)}{units_that} the shape the error is {_mean(kept)} %, and "
            f"{_mean(intact)} % with all {len(units)}: a change of {_mean(change, signed=True)}"
        )

    def facts(self) -> dict[str, Any]:
        """The numbers of `cells`."""
        return {
            "name": self.name,
            "seeds": [run["seed"] for run in self.runs],
            "intact": self.intact,
            "one_dropped": self.one_dropped(),
            "shares": self.shares(),
        }


def rows(found: Sequence[dict[str, Any]]) -> list[Row]:
    """One row for runs that differ in the seed alone, in the order of the first of each.

    Raises AblateError if a run is there twice: it would count as two seeds.
    """
    if twice := [name for name, count in Counter(run["run"] for run in found).items() if count > 1]:
        raise AblateError(f"{twice[0]} is named twice, and would count as two seeds: name each run once")
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in found:
        groups.setdefault(run["cell"], []).append(run)
    return [Row(runs[0]["name"].rpartition(", seed")[0], runs) for runs in groups.values()]


def check(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The runs of a lesion.json. Raises one of the errors of values and types if they are none."""
    if not found:
        raise ValueError("no runs")
    for run in found:
        _check(run)
    return list(found)


def _check(run: dict[str, Any]) -> None:
    alone, several, swapped, paths = (run.get(kind, []) for kind in ("alone", "several", "swapped", "paths"))
    errors = [run["intact"], *(one["error"] for one in alone)]
    errors += [error for one in (*several, *swapped) for error in one["errors"]]
    counts = [one["dropped"] for one in several] + [one["swaps"] for one in swapped]
    units = [(unit["unit"], unit["stage"], unit["changes_shape"]) for unit in run["units"]]
    norms = [_fmean(one["norms"]) for one in paths]
    wrong = len(alone) not in (0, len(units)) or len(norms) not in (0, len(units) + 1) or not units
    if wrong or not all(map(math.isfinite, [*errors, *counts])):
        raise ValueError(run)
    if not all(isinstance(run[key], str) for key in ("run", "name", "cell")) or not isinstance(run["seed"], int):
        raise TypeError(run)


def _fmean(norms: Sequence[float | None]) -> float:
    """The mean; NaN with a number that is not finite, which JSON has as null."""
    return statistics.fmean(math.nan if norm is None else norm for norm in norms)


def markdown(rows: Sequence[Row]) -> str:
    """The table and its sentences."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|" + "--:|" * (len(HEADINGS) - 1)]
    lines += ["| " + " | ".join([markdown_text(row.name), *row.cells()]) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {markdown_text(row.name)}: {row.sentence()}" for row in rows), ""])


def shares(norms: Sequence[float]) -> list[float]:
    """The share of the gradient through paths of each length 0, 1, ..., n: their number, n choose length, times the
    mean norm of one ([V] Fig. 6c). All 0 if every norm is.
    """
    from scipy.special import gammaln

    lengths = numpy.arange(len(norms))
    paths = gammaln(len(norms)) - gammaln(lengths + 1) - gammaln(len(norms) - lengths)
    with numpy.errstate(divide="ignore"):
        logs = numpy.log(norms) + paths
    if not numpy.isfinite(logs.max()):
        return [0.0] * len(norms)
    weights = numpy.exp(logs - logs.max())
    return list(map(float, weights / weights.sum()))


def _range(share: Sequence[float]) -> tuple[int, int]:
    """The path lengths between which COVERED of the gradient lies, as much outside on either side."""
    total = numpy.cumsum(share)
    tail = (1 - COVERED) / 2
    return int(numpy.searchsorted(total, tail)), int(numpy.searchsorted(total, 1 - tail))


def _mean(values: Sequence[float], *, signed: bool = False) -> str:
    """A mean over seeds with Student's 95 % interval, from three seeds."""
    form = "+.2f" if signed else ".2f"
    mean = f"{statistics.fmean(values):{form}}"
    if len(values) < stats.STUDENT_FROM:
        return mean
    low, high = stats.student_interval(numpy.array(values), -100.0 if signed else 0.0)
    return f"{mean} [{float(low):{form}}, {float(high):{form}}]"
