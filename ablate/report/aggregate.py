"""Cells from runs: one row for each configuration, its seeds together. Pure functions on data frames."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy
from pandas import DataFrame

from ablate.report import stats
from ablate.report.comparison import compare
from ablate.report.keys import SETTINGS, labels
from ablate.report.published import FAIL, by_own_depth, find, same_setting
from ablate.report.records import rows_of

ENDED = ("finished", "diverged")
UNFINISHED = ("failed", "interrupted", "running", "stale", "missing")
BASELINE = ("shortcut", "identity")


def cells(runs: DataFrame, baseline: tuple[str, str] = BASELINE) -> DataFrame:
    """One row for each cell, in the papers' order. Errors in percent.

    A diverged run counts as an infinite error: it can move the median, and there is then no mean, no interval and no
    difference, whichever seeds the baseline has.

    | column | content |
    |---|---|
    | label, shortcut, data, recipe, unit, depth, evaluated_on | the cell; label is of `keys.labels` |
    | n, seeds | runs that ended; runs that exist or were requested |
    | median, mean, std, minimum, maximum | of the last epoch's error over seeds; std with n - 1 |
    | low, high | Student's 95 % interval of the mean, from 3 seeds |
    | best_epoch | the median of each run's lowest error, which is optimistic |
    | outcome | 'fail' ([B] Table 1: above 20 %) or 'diverged', by the median; else empty |
    | baseline, baseline_cell, is_baseline | what it is compared with; see `comparison.compare` |
    | common, difference, difference_low, difference_high, p | paired over common seeds, Student's t |
    | p_holm, verdict | p corrected for the number of rows that are compared; the result in words |
    | published, source, same_setting | the published error, and whether the run has the setting of the paper |
    | parameters, multiply_adds, seconds | of the network; for one image; mean wall-clock time of a run |
    | computed, mixed | device and precision; whether runs differ in these or in threads |
    | state | how many runs diverged or have not finished |
    | cell, config, place | hash, configuration, place in the papers' order |

    `baseline` is a key and a value, also in `attrs["key"]` and `attrs["baseline"]`.
    """
    groups: dict[str, list[Any]] = {}
    for run in rows_of(runs):
        groups.setdefault(run.cell, []).append(run)
    own_depth = by_own_depth([group[0].config for group in groups.values()])
    frame = DataFrame([_cell(group, own_depth) for group in groups.values()])
    frame["label"] = labels(frame)
    frame = frame.sort_values(["data", "recipe", "place", "unit", "label", "depth"], ignore_index=True)
    errors = {
        cell: {run.seed: last_error(run) for run in group if run.state in ENDED} for cell, group in groups.items()
    }
    return compare(frame, errors, baseline)


def _cell(group: list[Any], own_depth: bool) -> dict[str, Any]:
    first = group[0]
    ended = [run for run in group if run.state in ENDED]
    errors = numpy.array([last_error(run) for run in ended])
    n = len(errors)
    finite = bool(n) and bool(numpy.isfinite(errors).all())
    median = _median(errors.tolist())
    seconds = _known(run.seconds for run in ended)
    low, high = stats.student_interval(errors) if finite else (math.nan, math.nan)
    published, place = find(first.config, own_depth=own_depth)
    return {
        **{key: getattr(first, key) for key in ("shortcut", *SETTINGS, "evaluated_on", "cell", "config")},
        "n": n,
        "seeds": len(group),
        "median": median,
        "mean": errors.mean() if finite else math.nan,
        "std": errors.std(ddof=1) if finite and n > 1 else math.nan,
        "minimum": errors.min() if n else math.nan,
        "maximum": errors.max() if n else math.nan,
        **{"low": float(low), "high": float(high)},
        "best_epoch": _median(_known(run.best_test_error for run in ended)),
        "outcome": "diverged" if median == math.inf else "fail" if median > FAIL else "",
        "published": published.error if published else math.nan,
        "source": f"{published.source}, {published.depth} layers" if published else "",
        "same_setting": bool(published and same_setting(first.config, published)),
        "parameters": max(_known(run.parameters for run in group), default=math.nan),
        "multiply_adds": max(_known(run.multiply_adds for run in group), default=math.nan),
        "seconds": sum(seconds) / len(seconds) if seconds else math.nan,
        "computed": "; ".join(sorted({computed_on(run) for run in ended})),
        "mixed": len({(run.device, run.precision, run.threads) for run in ended}) > 1,
        "state": _state(group),
        "place": place,
    }


def computed_on(run: Any) -> str:
    """The device and the precision of a run."""
    return ", ".join(str(word) for word in (run.device, run.precision) if word) or "an unknown device"


def last_error(run: Any) -> float:
    """Percent, at the last epoch of a run that ended; infinite if it diverged."""
    return float(run.test_error) if run.state == "finished" else math.inf


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _median(values: list[float]) -> float:
    return statistics.median(values) if values else math.nan


def _state(group: list[Any]) -> str:
    counts = Counter(run.state for run in group)
    return ", ".join(f"{state} {counts[state]} of {len(group)}" for state in ("diverged", *UNFINISHED) if counts[state])
