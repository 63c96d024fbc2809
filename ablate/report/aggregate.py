"""Cells from runs: one row for each configuration, its seeds together. Pure functions on data frames."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy
from numpy.typing import NDArray
from pandas import DataFrame

from ablate.report import stats
from ablate.report.comparison import IDENTITY, SEEDS, SEEDS_AND_IMAGES, Baseline, Seeds, compare, computed_by
from ablate.report.keys import SETTINGS, labels
from ablate.report.predictions import Wrong, stack
from ablate.report.published import by_own_depth, find, same_setting
from ablate.report.records import rows_of
from ablate.runs.reading import EVALUATED
from ablate.runs.record import DONE

STATES = ("stopped", "failed", "interrupted", "running", "stale", "missing")
"""What the column `state` counts."""


def cells(
    runs: DataFrame,
    baseline: Baseline = IDENTITY,
    *,
    wrong: Mapping[str, Wrong] | None = None,
    mixed: bool = False,
    most: int | None = None,
) -> DataFrame:
    """One row for each cell, in the papers' order. Errors in percent.

    With a diverged run there is no mean, no interval and no difference, whichever seeds the baseline has; in the median
    it counts as an infinite error. A run that was stopped at chance counts with the error that it had there. `wrong` is
    what each run got wrong, by folder: with it, intervals and tests are over seeds and test images
    (`predictions.read_wrong`). `most`: the most seeds of a study with seeds=auto.

    | column | content |
    |---|---|
    | label, shortcut, data, recipe, unit, depth, evaluated_on | the cell; label is of `keys.labels` |
    | n, seeds | runs that ended; runs that exist or were requested |
    | mean, std, median, minimum, maximum | of the last epoch's error over seeds; std with n - 1 |
    | low, high, over | 95 % interval of the mean, from 3 seeds; 'seeds' or 'seeds and test images' |
    | low_seeds, high_seeds | the interval over seeds alone (Student's) |
    | noise_share | share of the variance over seeds that is due to the finite number of test images |
    | best_epoch | the mean of each run's lowest error, which is optimistic |
    | diverged, stopped, at_chance | how many runs diverged; were stopped at chance; were at chance at the end |
    | baseline, baseline_cell, is_baseline | what it is compared with; see `comparison.compare` |
    | differs | what must be alike to compare, and is not, among the runs of the row and of its baseline |
    | common, difference, difference_low, difference_high, p | paired over common seeds |
    | difference_over, difference_low_seeds, difference_high_seeds, p_seeds | as above; Student's over seeds alone |
    | p_holm, verdict | p corrected for the number of rows that are compared; the result in words |
    | looked, settled | with seeds=auto, the seeds at the last look, whose p it is; why the row stopped |
    | published, source | the published error on the same dataset, and where it is from |
    | same_setting, from_published | of the paper; difference from the published error, by the paper's statistic |
    | parameters, multiply_adds, seconds | of the network; for one image; mean wall-clock time of a run |
    | computed, machines | device and precision; CPU and threads |
    | looks | numbers of seeds after each command that added seeds, from 3: when a reader may have looked |
    | state | how many runs were stopped at chance, or have not ended |
    | cell, config, place | hash, configuration, place in the papers' order |

    `attrs` has the `baseline`, `mixed`, which compares in spite of `differs`, and `most`.
    """
    own_depth = by_own_depth(list(runs.drop_duplicates("cell").config))
    groups: dict[str, list[Any]] = {}
    for run in rows_of(runs):
        groups.setdefault(run.cell, []).append(run)
    frame = DataFrame([_cell(group, own_depth, wrong or {}) for group in groups.values()])
    frame["label"] = labels(frame)
    frame = frame.sort_values(["data", "recipe", "place", "net", "unit", "label", "depth"], ignore_index=True)
    return compare(frame, dict(zip(frame.cell, frame.pop("runs"), strict=True)), baseline, mixed=mixed, most=most)


def _cell(runs: list[Any], own_depth: bool, wrong: Mapping[str, Wrong]) -> dict[str, Any]:
    first, ended = runs[0], [run for run in runs if run.state in DONE]
    errors = numpy.array([run.test_error if run.state in EVALUATED else math.inf for run in ended])
    by_seed = [wrong.get(run.folder) for run in ended]
    n = len(errors)
    finite = bool(n) and bool(numpy.isfinite(errors).all())
    mean, median = float(errors.mean()) if finite else math.nan, float(numpy.median(errors)) if n else math.nan
    published, place = find(first.config, own_depth=own_depth)
    counts = Counter(run.state for run in runs)
    same = bool(published and same_setting(first.config, published) and not counts["stopped"])
    return {
        **{key: getattr(first, key) for key in ("shortcut", *SETTINGS, "evaluated_on", "cell", "config")},
        "runs": Seeds(
            {run.seed: error for run, error in zip(ended, errors.tolist(), strict=True)},
            {run.seed: one for run, one in zip(ended, by_seed, strict=True)},
            set().union(*map(computed_by, ended)),
        ),
        "n": n,
        "seeds": len(runs),
        "mean": mean,
        "std": errors.std(ddof=1) if finite and n > 1 else math.nan,
        "median": median,
        "minimum": errors.min() if n else math.nan,
        "maximum": errors.max() if n else math.nan,
        **_intervals(errors, stack(by_seed) if finite else None),
        "best_epoch": _mean(run.best_test_error for run in ended) if finite else math.nan,
        "diverged": int(numpy.isinf(errors).sum()),
        "stopped": counts["stopped"],
        "at_chance": sum(run.at_chance for run in ended),
        "published": published.error if published else math.nan,
        "source": published.described() if published else "",
        "same_setting": same,
        "from_published": published.difference(mean, median) if published and same else math.nan,
        "parameters": _mean(run.parameters for run in runs),
        "multiply_adds": _mean(run.multiply_adds for run in runs),
        "seconds": _mean(run.seconds for run in ended),
        "computed": _listed(map(computed_on, ended)),
        "machines": _listed(f"{run.cpu}, {run.threads:.0f} threads" for run in ended if run.cpu and run.threads > 0),
        "looks": looks(ended),
        "state": ", ".join(f"{state} {counts[state]} of {len(runs)}" for state in STATES if state in counts),
        "place": place,
    }


def _intervals(errors: NDArray[numpy.float64], wrong: NDArray[numpy.float64] | None) -> dict[str, Any]:
    """The intervals of the mean of `errors` (n), over seeds and, with `wrong` (n, images), over seeds and images."""
    ends: tuple[Any, Any] = (math.nan, math.nan)
    over, share = "", math.nan
    if len(errors) >= stats.STUDENT_FROM and numpy.isfinite(errors).all():
        ends, over = stats.student_interval(errors), SEEDS
    seeds = ends
    if over and wrong is not None:
        ends, over, share = stats.crossed_interval(wrong), SEEDS_AND_IMAGES, stats.seed_noise_share(wrong)
    names = ("low", "high", "low_seeds", "high_seeds", "noise_share")
    found = dict(zip(names, map(float, (*ends, *seeds, share)), strict=True))
    return found | {"over": "" if math.isnan(found["low"]) else over}


def looks(runs: Iterable[Any]) -> tuple[int, ...]:
    """The numbers of seeds, from 3, after which a reader may have looked at a row: after each command that added some.

    Commands whose runs overlap in time are one.
    """
    commands: dict[str, list[Any]] = {}
    for run in runs:
        if run.command and run.started and run.ended:
            commands.setdefault(run.command, []).append(run)
    found: list[int] = []
    end, seeds = "", 0
    for added in sorted(commands.values(), key=lambda added: min(run.started for run in added)):
        if found and min(run.started for run in added) <= end:
            found.pop()
        seeds, end = seeds + len(added), max(end, *(run.ended for run in added))
        found.append(seeds)
    return tuple(look for look in found if look >= stats.STUDENT_FROM)


def computed_on(run: Any) -> str:
    """The device and the precision of a run."""
    return ", ".join(str(word) for word in (run.device, run.precision) if word) or "an unknown device"


def _listed(words: Iterable[str]) -> str:
    return "; ".join(sorted(set(words)))


def _mean(values: Iterable[float]) -> float:
    """Of what is known; NaN if nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
