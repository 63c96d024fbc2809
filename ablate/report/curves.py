"""Learning curves from metrics.jsonl: the evaluations of each run, and the band of a cell's runs."""

import math
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ablate.report.records import load, rows_of
from ablate.runs import layout
from ablate.runs.record import ERRORS, read_metrics

OF_A_RUN = ["folder", "label", "shortcut", "depth", "net", "unit", "data", "recipe", "seed"]


def load_curves(path: str | PathLike[str], experiment: str | None = None) -> DataFrame:
    """Every evaluation of the runs in a folder, or of those of one experiment: one row each.

    Columns: those of a run in OF_A_RUN, as in `records.load`; those of a line of metrics.jsonl (docs/records.md); and
    of each probe, as `gradient/stage1`. Raises AblateError as `records.load` does. Damaged lines are left out.
    """
    rows = []
    for run in rows_of(load(path, experiment)):
        for line in read_metrics(run.path)[0] if run.path.is_dir() else []:
            own = {key: getattr(run, key) for key in OF_A_RUN}
            rows.append(own | line | (line.get("probes") or {}) | own)  # `own` first, and not replaced
    return DataFrame(rows, columns=None if rows else OF_A_RUN).drop(columns="probes", errors="ignore")


def read_curves(folders: Iterable[Path]) -> tuple[DataFrame, list[str]]:
    """Every evaluation of the runs in `folders`: columns folder, step, train_error, test_error in percent, and one for
    each probe.

    And a sentence for each file with lines that are not valid evaluations and left out.
    """
    rows: list[dict[str, Any]] = []
    sentences: list[str] = []
    probes: dict[str, None] = {}
    for folder in folders:
        try:
            lines, bad = read_metrics(folder)
        except OSError as error:
            sentences.append(f"{folder / layout.METRICS} cannot be read: {error.strerror}; its curve is not drawn")
            continue
        valid = [line for line in lines if all(line.get(key) is not None for key in ERRORS)]
        for line in valid:
            found = (line.get("probes") or {}).items()
            measured = {name: value for name, value in found if "/" in name and value is not None}
            probes |= dict.fromkeys(measured)
            rows.append({"folder": folder.name, **line} | measured)
        if left := len(bad) + len(lines) - len(valid):
            sentences.append(f"{folder / layout.METRICS}: {left} invalid line{'s' * (left > 1)} left out of its curve")
    return DataFrame(rows, columns=["folder", "step", *ERRORS, *probes]), sentences


def probes(curves: DataFrame) -> list[str]:
    """The columns of probes."""
    return [name for name in curves.columns if name not in ("folder", "step", *ERRORS)]


def band(curves: DataFrame, folders: Iterable[str], keys: Sequence[str] = ERRORS) -> DataFrame:
    """Of the runs in `folders`, at each step: mean, low and high (the extremes) of each of `keys`, and n.

    Columns step, n, train_error, train_error_low, train_error_high and so on. It ends where the first run ended.
    """
    names = set(folders)
    grouped = curves[curves.folder.isin(names)].groupby("step")
    out = DataFrame({"n": grouped.folder.nunique()})
    for key in keys:
        out[key], out[f"{key}_low"], out[f"{key}_high"] = grouped[key].mean(), grouped[key].min(), grouped[key].max()
    return out[out.n == len(names)].reset_index()  # after that the mean would be of the runs that went well


def thin(frame: DataFrame, most: int) -> list[int]:
    """Positions of at most `most` rows, evenly spread, the last row among them."""
    step = max(1, math.ceil(len(frame) / most))
    return list(range(len(frame) - 1, -1, -step))[::-1]
