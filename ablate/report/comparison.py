"""Each cell compared with its baseline: paired differences over common seeds, corrected p-values, a verdict."""

import math
from typing import Any

import numpy
from pandas import DataFrame

from ablate.report import stats
from ablate.report.keys import check_key, typed, without
from ablate.report.records import rows_of

DIFFERENCE = ("difference", "difference_low", "difference_high", "p")


def compare(frame: DataFrame, errors: dict[str, dict[int, float]], baseline: tuple[str, str]) -> DataFrame:
    """`frame`, one row for each cell, with columns that compare it with the cell that has the baseline's value.

    All other keys of the two are equal. If there are several such cells, as for options A and B of the identity, it
    is the one that shares most parameters. `errors`: each cell's errors by seed, infinite where a run diverged.
    """
    key, value = baseline
    check_key("--baseline", key)
    configs = list(frame.config)
    rest = [without(config, key) for config in configs]
    bases: dict[str, list[int]] = {}
    for row, config in enumerate(configs):
        if typed(config, key) == value:
            bases.setdefault(rest[row], []).append(row)
    found = []
    for row, cell in enumerate(frame.cell):
        base = _nearest(configs, row, bases.get(rest[row], []), key)
        facts: dict[str, Any] = {"baseline": "", "baseline_cell": "", "is_baseline": base == row, "common": 0}
        facts |= dict.fromkeys(DIFFERENCE, math.nan)
        if base is not None:
            facts |= {"baseline": frame.label[base], "baseline_cell": frame.cell[base]}
            if base != row:
                facts |= _paired(errors[cell], errors[frame.cell[base]])
        found.append(facts)
    frame = frame.join(DataFrame(found))
    frame.attrs |= {"key": key, "baseline": value}
    frame["p_holm"] = stats.holm(frame.p.to_numpy(float))
    frame["verdict"] = [_verdict(row) for row in rows_of(frame)]
    return frame


def _paired(errors: dict[int, float], base: dict[int, float]) -> dict[str, float]:
    seeds = sorted(errors.keys() & base.keys())
    # Also if the run that diverged has no partner: the seeds that are left were selected by their outcome.
    if not seeds or math.inf in (*errors.values(), *base.values()):
        return {"common": len(seeds)}
    ours, theirs = (numpy.array([by_seed[seed] for seed in seeds]) for by_seed in (errors, base))
    found = zip(DIFFERENCE, map(float, stats.paired_difference(ours, theirs)), strict=True)
    return {"common": len(seeds), **dict(found)}


def _nearest(configs: list[dict[str, Any]], row: int, bases: list[int], key: str) -> int | None:
    """Of `bases`, in the papers' order, the one that shares most parameters below `key` with the row.

    A row that is itself among them gets the first, so that option B of the identity is compared with option A.
    """
    if row in bases or not isinstance(configs[row].get(key), dict):
        return next(iter(bases), None)
    own = configs[row][key].items()
    return max(bases, key=lambda base: sum(item in own for item in configs[base][key].items()), default=None)


def _verdict(row: Any) -> str:
    """The result of the comparison in words."""
    if row.is_baseline:
        return "baseline"
    if not row.baseline or not row.n:
        return ""
    if not row.common:
        return "no seed in common with the baseline"
    if math.isnan(row.difference):
        return "not tested: diverged" if row.maximum == math.inf else "not tested: the baseline diverged"
    if row.common < stats.STUDENT_FROM:
        return f"not tested: {row.common} seed{'s' * (row.common > 1)}"
    if math.isnan(row.p):
        return "not tested: no spread over seeds"
    if row.p_holm >= 1 - stats.CONFIDENCE:
        return f"not separable with {row.common} seeds"
    return "worse" if row.difference > 0 else "better"
