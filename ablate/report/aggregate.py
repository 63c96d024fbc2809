"""Cells from runs: one row for each configuration, its seeds together. Pure functions on data frames."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy
import pandas

from ablate.base.errors import AblateError
from ablate.base.terminal import plain
from ablate.report import stats
from ablate.report.published import FAIL, find, own_depth, same_setting
from ablate.report.records import every, flatten, said
from ablate.runs.identity import EXCLUDED, NEUTRAL, identity
from ablate.runs.naming import label

SETTINGS = ("data", "recipe", "unit", "depth")
NOT_OF_A_CELL = ("seed", *EXCLUDED)
ENDED = ("finished", "diverged")
BASELINE = ("shortcut", "identity")


def cells(
    runs: pandas.DataFrame, baseline: tuple[str, str] = BASELINE, rng: numpy.random.Generator | None = None
) -> pandas.DataFrame:
    """One row a cell, in the papers' order. Errors in percent.

    A diverged run counts as the worst error there is, so it can move a median and never vanishes; where one is,
    there is no mean, and so no interval and no difference, whichever seeds its baseline has.

    | column | what |
    |---|---|
    | label, shortcut, data, recipe, unit, depth, evaluated_on | the cell; label is of `labels` |
    | n, seeds | runs that ended; runs that there are or should be |
    | median, mean, std, minimum, maximum | of the last epoch's error over seeds; std of the sample, n - 1 |
    | low, high | Student's 95 % interval of the mean, from 3 seeds |
    | bootstrap_low, bootstrap_high | the bootstrap-t's, from 5 seeds, resampling seeds alone |
    | best_epoch | the median of each run's lowest error, which flatters |
    | outcome | fail or diverged, as [B] Table 1 has it, by the median; empty for a network that trained |
    | baseline, baseline_cell | the cell it is compared with: all else is alike, of several the one of its option |
    | is_baseline | whether it is that itself |
    | common, difference, difference_low, difference_high, p | paired over the seeds that both have; Student's t |
    | p_holm, verdict | p corrected for the number of rows that are compared here; what follows, in words |
    | published, source, same_setting | the published error and whether this is the setting it was measured in |
    | parameters, multiply_adds, seconds | of the network; of one image; mean wall clock of a run |
    | computed, mixed | device and precision, and whether its runs differ in these |
    | state | of the runs that have not finished, in words |
    | cell, config, place | its hash, its configuration, its place in the papers' order |

    `baseline` is a key and the value of the cell to compare with; the value is also in `attrs["baseline"]`. `rng`
    draws the bootstrap; by default always alike.
    """
    rng = rng or numpy.random.default_rng(0)
    groups: dict[str, list[Any]] = {}
    for run in every(runs):
        groups.setdefault(run.cell, []).append(run)
    depths = own_depth([group[0].config for group in groups.values()])
    frame = pandas.DataFrame([_cell(group, depths, rng) for group in groups.values()])
    frame["label"] = labels(frame)
    frame = frame.sort_values(["data", "recipe", "place", "unit", "label", "depth"], ignore_index=True)
    return _compare(frame, groups, baseline)


def _cell(group: list[Any], depths: bool, rng: numpy.random.Generator) -> dict[str, Any]:
    first = group[0]
    ended = [run for run in group if run.state in ENDED]
    errors = numpy.array([last_error(run) for run in ended])
    whole = bool(len(errors)) and bool(numpy.isfinite(errors).all())
    none = numpy.array(numpy.nan)
    low, high = stats.student_interval(errors) if whole else (none, none)
    bootstrap_low, bootstrap_high = stats.bootstrap_interval(errors, rng) if whole else (none, none)
    published, place = find(first.config, own_depth=depths)
    return {
        **{key: getattr(first, key) for key in ("shortcut", *SETTINGS, "evaluated_on", "cell", "config")},
        "n": len(ended),
        "seeds": len(group),
        "median": _median(errors),
        "mean": errors.mean() if whole else numpy.nan,
        "std": errors.std(ddof=1) if whole and len(errors) > 1 else numpy.nan,
        "minimum": errors.min() if len(errors) else numpy.nan,
        "maximum": errors.max() if len(errors) else numpy.nan,
        **{"low": float(low), "high": float(high)},
        **{"bootstrap_low": float(bootstrap_low), "bootstrap_high": float(bootstrap_high)},
        "best_epoch": _median(_known(run.best_test_error for run in ended)),
        "outcome": _outcome(errors),
        "published": published.error if published else numpy.nan,
        "source": f"{published.source}, {published.depth} layers" if published else "",
        "same_setting": bool(published and same_setting(first.config, published)),
        "parameters": max(_known(run.parameters for run in group), default=numpy.nan),
        "multiply_adds": max(_known(run.multiply_adds for run in group), default=numpy.nan),
        "seconds": _mean(_known(run.seconds for run in ended)),
        "computed": "; ".join(sorted({how(run) for run in ended})),
        "mixed": len({(run.device, run.precision, run.threads) for run in ended}) > 1,
        "state": _state(group),
        "place": place,
    }


def how(run: Any) -> str:
    """What computed a run."""
    return ", ".join(str(word) for word in (run.device, run.precision) if word) or "an unknown device"


def last_error(run: Any) -> float:
    """Percent at the last epoch of a run that ended; infinite where it diverged."""
    return float(run.test_error) if run.state == "finished" else math.inf


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _compare(frame: pandas.DataFrame, groups: dict[str, list[Any]], baseline: tuple[str, str]) -> pandas.DataFrame:
    """Each cell beside the one that differs from it in the baseline's key alone."""
    key, value = baseline
    if key.split(".")[0] in NOT_OF_A_CELL:
        raise AblateError(f"{key} is not what tells rows apart: name another key, as shortcut or recipe.batch")
    by_seed = {
        cell: {run.seed: last_error(run) for run in group if run.state in ENDED} for cell, group in groups.items()
    }
    configs = list(frame.config)
    others = [without(config, key) for config in configs]
    against: dict[str, list[int]] = {}
    for row, rest in enumerate(others):
        if said(configs[row], key) == value:
            against.setdefault(rest, []).append(row)
    rows = []
    for row, rest in enumerate(others):
        base = _nearest(configs, row, against.get(rest, []), key)
        found: dict[str, Any] = dict.fromkeys(("difference", "difference_low", "difference_high", "p"), numpy.nan)
        found |= {"common": 0, "is_baseline": base == row}
        found |= (
            {"baseline": frame.label[base], "baseline_cell": frame.cell[base]}
            if base is not None
            else {"baseline": "", "baseline_cell": ""}
        )
        if base is not None and base != row:
            own, its = by_seed[frame.cell[row]], by_seed[frame.cell[base]]
            seeds = sorted(own.keys() & its.keys())
            found["common"] = len(seeds)
            a, b = (numpy.array([errors[seed] for seed in seeds]) for errors in (own, its))
            # Also on a seed that is not common: what is left after the runs that diverged is chosen by the outcome.
            if seeds and math.inf not in (*own.values(), *its.values()):
                names = ("difference", "difference_low", "difference_high", "p")
                found |= zip(names, map(float, stats.paired_difference(a, b)), strict=True)
        rows.append(found)
    frame = frame.join(pandas.DataFrame(rows))
    frame.attrs["key"], frame.attrs["baseline"] = key, value
    frame["p_holm"] = stats.holm(frame.p.to_numpy(float))
    frame["verdict"] = [_verdict(row) for row in every(frame)]
    return frame


def _nearest(configs: list[dict[str, Any]], row: int, bases: list[int], key: str) -> int | None:
    """Of `bases`, in the papers' order, the one with most of the row's own parameters below `key`: its option.

    A row that is a base itself goes with the first, so that option B of the identity is compared with option A.
    """
    if row in bases or not isinstance(configs[row].get(key), dict):
        return next(iter(bases), None)
    own = configs[row][key].items()
    return max(bases, key=lambda base: sum(item in own for item in configs[base][key].items()), default=None)


def without(config: dict[str, Any], *keys: str) -> str:
    """All that decides a cell but what `keys` say, to be compared."""
    flat = flatten(identity(config))
    rest = {
        name: value
        for name, value in flat.items()
        if name != "seed" and not any(name == key or name.startswith(f"{key}.") for key in keys)
    }
    return json.dumps(rest, sort_keys=True)


def _verdict(row: Any) -> str:
    """What the comparison says, in words; never more than the seeds bear."""
    if row.is_baseline:
        return "baseline"
    if not row.baseline or not row.n:
        return ""
    if not row.common:
        return "no seed in common with the baseline"
    if numpy.isnan(row.difference):
        return "not tested: diverged" if row.maximum == math.inf else "not tested: the baseline diverged"
    if row.common < stats.STUDENT_FROM:
        return f"{row.common} seed{'s' * (row.common > 1)}: too few to say"
    if numpy.isnan(row.p):
        return "not tested: no spread over seeds"
    if row.p_holm >= 1 - stats.CONFIDENCE:
        return f"not separable with {row.common} seeds"
    return "worse" if row.difference > 0 else "better"


def labels(cells: pandas.DataFrame, *less: str) -> list[str]:
    """The shortcut of each row in words, and each key that tells rows apart and that nothing else says.

    A row says its shortcut's parameters and the names of `SETTINGS`; where rows that are alike in that differ in a
    key below, as two recipes of one name in recipe.epochs, the key is added. Of the keys `less` nothing is said.
    """
    configs = list(cells.config)
    words = [
        label({key: value for key, value in config["shortcut"].items() if f"shortcut.{key}" not in less})
        for config in configs
    ]
    flat = [flatten(identity(config)) for config in configs]
    out = words
    for key in sorted(set().union(*flat) - {"seed", *less}):
        group = key.split(".")[0]
        of = words if group == "shortcut" else [said(config, group) if group in SETTINGS else "" for config in configs]
        values: dict[str | None, set[str]] = {}
        for name, row in zip(of, flat, strict=True):
            values.setdefault(name, set()).add(_typed(row, key))
        out = [
            f"{text} {key}={_typed(row, key)}" if len(values[name]) > 1 else text
            for text, name, row in zip(out, of, flat, strict=True)
        ]
    return [plain(text) for text in out]


def _typed(row: dict[str, Any], key: str) -> str:
    """A value as it is typed; a switch that an identity leaves out is off."""
    value = row.get(key, False if key in NEUTRAL else None)
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _median(values: Sequence[float] | numpy.ndarray) -> float:
    """The median of (n,) errors, of which some may be infinite; NaN of none."""
    if not len(values):
        return math.nan
    ordered = sorted(values)
    low, high = ordered[(len(values) - 1) // 2], ordered[len(values) // 2]
    return float(low if low == high else (low + high) / 2)


def _outcome(errors: numpy.ndarray) -> str:
    median = _median(errors)
    return "diverged" if median == math.inf else "fail" if median > FAIL else ""


def _state(group: list[Any]) -> str:
    counts = Counter(run.state for run in group)
    order = ("diverged", "failed", "interrupted", "running", "stale", "missing")
    return ", ".join(f"{state} {counts[state]} of {len(group)}" for state in order if counts[state])
