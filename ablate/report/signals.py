"""What `probes=signal` measured of each unit while runs trained, from their signal.jsonl."""

import json
import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from pandas import DataFrame

from ablate.config.schema import SIGNAL
from ablate.runs import layout
from ablate.runs.record import DONE

KEYS = ("gradient", "weights_gradient", "path", "gate")
"""Numbers of a unit that are drawn."""


class Measured(NamedTuple):
    """One number of every unit at every measured step: `steps` (S,), `values` (units, S), NaN where there is none.

    The mean over runs; of norms, which are above 0, of their base-10 logarithms.
    """

    steps: NDArray[numpy.int64]
    values: NDArray[numpy.float64]


def mean(paths: Iterable[Path], key: str) -> Measured | None:
    """What runs that differ in the seed measured at the steps that all of them have; None if there is nothing."""
    runs = [found for path in paths if (found := _read(path, key))]
    steps = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    units = {len(values) for run in runs for values in run.values()}
    if not steps or len(units) != 1:
        return None
    values = numpy.array([[run[step] for step in steps] for run in runs])
    if numpy.isnan(values).all():
        return None
    return Measured(numpy.array(steps), values.mean(0).T)


def with_gains(cells: DataFrame, runs: DataFrame) -> DataFrame:
    """`cells` with a column `gain`: what the shortcuts alone keep of the gradient from the last unit to the first, at
    the first and the last measured step; '' without measures. `runs`: those of the cells.
    """
    signal = numpy.array([config.get("probes") == SIGNAL for config in runs.config], bool)
    measured = runs[runs.state.isin(DONE) & signal]
    paths = measured.groupby("cell").path.apply(list).to_dict()
    found = [mean(paths.get(cell, []), "path") for cell in cells.cell]
    return cells.assign(gain=["" if one is None else _gain(one.values[0]) for one in found])


def _gain(log2: NDArray[numpy.float64]) -> str:
    ends = ["–" if math.isnan(value) else f"2^{value:.1f}".replace("2^-0.0", "2^0.0") for value in log2[[0, -1]]]
    return " → ".join(ends)


def _read(path: Path, key: str) -> dict[int, list[float]]:
    """The values of the units by step. Lines that are none are left out, as a run that is being written may have."""
    found: dict[int, list[float]] = {}
    try:
        lines = (path / layout.SIGNAL).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    for text in lines:
        with suppress(ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            line: dict[str, Any] = json.loads(text)
            if 1 <= line["step"] < 2**53:
                found[int(line["step"])] = [_number(key, value) for value in line[key]]
    return found


def _number(key: str, value: float | None) -> float:
    if value is None or not math.isfinite(value):
        return math.nan
    if key in ("path", "gate", "theory"):
        return float(value)
    return math.log10(value) if value > 0 else math.nan
