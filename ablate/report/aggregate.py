"""Cells from runs: one row for each configuration, its seeds together. Pure functions on data frames."""

import math
from typing import Any

import numpy
from pandas import DataFrame

from ablate.report import stats
from ablate.report.comparison import compare
from ablate.report.keys import SETTINGS, labels
from ablate.report.published import FAIL, by_own_depth, find, same_setting
from ablate.report.records import rows_of

ENDED = ("finished", "diverged")
INCOMPLETE = ("diverged", "failed", "interrupted", "running", "stale", "missing")


def cells(runs: DataFrame, baseline: tuple[str, str] = ("shortcut", "identity")) -> DataFrame:
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
    own_depth = by_own_depth(list(runs.drop_duplicates("cell").config))
    frame = DataFrame([_cell(group, own_depth) for _, group in runs.groupby("cell", sort=False)])
    frame["label"] = labels(frame)
    frame = frame.sort_values(["data", "recipe", "place", "unit", "label", "depth"], ignore_index=True)
    return compare(frame, dict(zip(frame.cell, frame.pop("errors"), strict=True)), baseline)


def _cell(group: DataFrame, own_depth: bool) -> dict[str, Any]:
    first = rows_of(group)[0]
    ended = group[group.state.isin(ENDED)]
    errors = ended.test_error.where(ended.state == "finished", math.inf).to_numpy(float)
    n = len(errors)
    finite = bool(n) and bool(numpy.isfinite(errors).all())
    median = float(numpy.median(errors)) if n else math.nan
    low, high = stats.student_interval(errors) if finite else (math.nan, math.nan)
    published, place = find(first.config, own_depth=own_depth)
    counts = group.state.value_counts()
    return {
        **{key: getattr(first, key) for key in ("shortcut", *SETTINGS, "evaluated_on", "cell", "config")},
        "errors": dict(zip(ended.seed, errors.tolist(), strict=True)),
        "n": n,
        "seeds": len(group),
        "median": median,
        "mean": errors.mean() if finite else math.nan,
        "std": errors.std(ddof=1) if finite and n > 1 else math.nan,
        "minimum": errors.min() if n else math.nan,
        "maximum": errors.max() if n else math.nan,
        **{"low": float(low), "high": float(high)},
        "best_epoch": ended.best_test_error.median(),
        "outcome": "diverged" if median == math.inf else "fail" if median > FAIL else "",
        "published": published.error if published else math.nan,
        "source": f"{published.source}, {published.depth} layers" if published else "",
        "same_setting": bool(published and same_setting(first.config, published)),
        "parameters": group.parameters.max(),
        "multiply_adds": group.multiply_adds.max(),
        "seconds": ended.seconds.mean(),
        "computed": "; ".join(sorted({computed_on(run) for run in rows_of(ended)})),
        "mixed": len(ended[["device", "precision", "threads"]].drop_duplicates()) > 1,
        "state": ", ".join(f"{state} {counts[state]} of {len(group)}" for state in INCOMPLETE if state in counts),
        "place": place,
    }


def computed_on(run: Any) -> str:
    """The device and the precision of a run."""
    return ", ".join(str(word) for word in (run.device, run.precision) if word) or "an unknown device"
