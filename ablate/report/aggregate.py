"""Cells from runs: one row for each configuration, its seeds together. Pure functions on data frames."""

from typing import Any

import numpy
import pandas

from ablate.report.published import FAIL, find, same_setting
from ablate.runs.signature import identity

SETTINGS = ("data", "recipe", "unit", "depth")


def cells(runs: pandas.DataFrame) -> pandas.DataFrame:
    """One row a cell, in the papers' order.

    A diverged run counts as the worst error there is, so it can move a median and never vanishes; where one is,
    there is no mean. Errors in percent. Columns: label, data, recipe, unit, depth, evaluated_on, n (runs that
    ended), seeds (runs that there are or should be), median, mean, std (of the sample, n - 1), best_epoch (the
    median of each run's lowest error, which flatters), verdict, published, source, same_setting, parameters,
    seconds (mean a run), computed (device and precision), mixed (whether its runs differ in these), state, place.
    """
    by_depth = runs.depth.nunique() > 1
    frame = pandas.DataFrame([_cell(group, by_depth) for _, group in runs.groupby("cell", sort=False)])
    firsts = runs.drop_duplicates("cell").config
    frame["label"] = _tell_apart(frame, [identity(config) for config in firsts])
    return frame.sort_values(["data", "recipe", "unit", "place", "label", "depth"], ignore_index=True)


def _cell(group: pandas.DataFrame, by_depth: bool) -> dict[str, Any]:
    first = group.iloc[0]
    ended = group[group.state.isin(["finished", "diverged"])]
    errors = ended.test_error.where(ended.state == "finished", numpy.inf).to_numpy(float)
    whole = bool(len(errors)) and bool(numpy.isfinite(errors).all())
    published, place = find(first.config, by_depth=by_depth)
    return {
        **{key: first[key] for key in ("label", "shortcut", *SETTINGS, "evaluated_on")},
        "n": len(ended),
        "seeds": len(group),
        "median": _median(errors),
        "mean": errors.mean() if whole else numpy.nan,
        "std": errors.std(ddof=1) if whole and len(errors) > 1 else numpy.nan,
        "best_epoch": _median(ended.best_test_error.dropna().to_numpy(float)),
        "verdict": _verdict(errors),
        "published": published.error if published else numpy.nan,
        "source": published.source if published else "",
        "same_setting": bool(published and same_setting(first.config, published)),
        "parameters": group.parameters.max(),
        "seconds": ended.seconds.mean(),
        "computed": ", ".join(sorted({f"{run.device}, {run.precision}" for run in ended.itertuples()})),
        "mixed": len({(run.device, run.precision, run.threads) for run in ended.itertuples()}) > 1,
        "state": _state(group),
        "place": place,
    }


def _tell_apart(frame: pandas.DataFrame, identities: list[dict[str, Any]]) -> list[str]:
    """Labels that differ where cells differ: where label and settings are alike, the keys that are not are added."""
    flat = [_flatten(identity) for identity in identities]
    labels = list(frame.label)
    for rows in frame.groupby(["label", *SETTINGS], sort=False).indices.values():
        if len(rows) > 1:
            keys = sorted(set().union(*(flat[row] for row in rows)) - {"seed"})
            differ = [key for key in keys if len({str(flat[row].get(key)) for row in rows}) > 1]
            for row in rows:
                labels[row] = " ".join([labels[row], *(f"{key}={flat[row].get(key)}" for key in differ)])
    return labels


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _median(values: numpy.ndarray) -> float:
    """The median of (n,) errors, of which some may be infinite; NaN of none."""
    if not len(values):
        return float("nan")
    low, high = sorted(values)[(len(values) - 1) // 2], sorted(values)[len(values) // 2]
    return float(low if low == high else (low + high) / 2)


def _verdict(errors: numpy.ndarray) -> str:
    """'diverged' or 'fail' as [B] Table 1 has it, by the median; '' for a net that trained."""
    median = _median(errors)
    return "diverged" if median == numpy.inf else "fail" if median > FAIL else ""


def _state(group: pandas.DataFrame) -> str:
    counts = group.state.value_counts()
    order = ("diverged", "failed", "interrupted", "running", "stale", "missing")
    return ", ".join(f"{counts[state]} {state}" for state in order if counts.get(state))
