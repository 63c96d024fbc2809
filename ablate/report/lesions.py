"""Lesions of trained networks in words and numbers: what `ablate lesion` found of runs, seeds together."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ablate.report import stats

COVERED = 0.9
"""Share of the gradient for which the range of path lengths is given."""


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

    def shares(self) -> list[list[float]]:
        """Of each run the share of the gradient that comes through paths of each length."""
        return [shares([statistics.fmean(one["norms"]) for one in run["paths"]]) for run in self.runs if "paths" in run]

    def cells(self) -> list[str]:
        """The row of a table, after its name."""
        kept = self.alone(changing=False)
        lengths = [_range(one) for one in self.shares() if any(one)]
        return [
            str(len(self.runs)),
            _mean(self.intact),
            _mean([statistics.fmean(one) for one in kept]) if kept else "",
            f"{max(map(max, self.alone())):.2f}" if kept else "",
            f"{min(low for low, _ in lengths)} to {max(high for _, high in lengths)}" if lengths else "",
        ]

    def sentence(self) -> str:
        """What one dropped unit does."""
        units, kept = self.runs[0]["units"], self.alone(changing=False)
        if not kept:
            return f"{self.name}: error {_mean(self.intact)} %"
        whole = [statistics.fmean(one) for one in kept]
        change = [after - before for after, before in zip(whole, self.intact, strict=True)]
        same = sum(not unit["changes_shape"] for unit in units)
        return (
            f"{self.name}: without one of the {same} units that keep the shape the error is {_mean(whole)} %, and "
            f"{_mean(self.intact)} % with all {len(units)}: a change of {_mean(change, signed=True)}"
        )

    def facts(self) -> dict[str, Any]:
        """The numbers of `cells`."""
        kept = self.alone(changing=False)
        return {
            "name": self.name,
            "seeds": [run["seed"] for run in self.runs],
            "intact": self.intact,
            "one_dropped": [statistics.fmean(one) for one in kept],
            "shares": self.shares(),
        }


def rows(found: Sequence[dict[str, Any]]) -> list[Row]:
    """One row for runs that differ in the seed alone, in the order of the first of each."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in found:
        groups.setdefault(run["cell"], []).append(run)
    return [Row(runs[0]["name"].rpartition(", seed")[0], runs) for runs in groups.values()]


def markdown(rows: Sequence[Row]) -> str:
    """The table and its sentences."""
    head = ["network", "seeds", "error", "one unit dropped", "at most", f"path length, {COVERED:.0%} of the gradient"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join([row.name, *row.cells()]) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"- {row.sentence()}" for row in rows), ""])


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
