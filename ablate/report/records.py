"""Records as a table: one row a run. A record that cannot be read is named and left out, never guessed at."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas

from ablate.runs.reading import Run, read_runs
from ablate.runs.signature import label

NUMBERS = (
    "test_error",
    "best_test_error",
    "train_loss",
    "train_error",
    "parameters",
    "multiply_adds",
    "seconds",
    "images_per_second",
    "steps",
)


@dataclass(frozen=True)
class Records:
    """`runs`: one row a run, columns as `load` documents. `unread`: a sentence for each record left out."""

    runs: pandas.DataFrame
    unread: list[str]


def load(path: str | Path, experiment: str | None = None) -> Records:
    """Every run below `path` and every one that its experiments ask for, or those of one experiment.

    Columns: folder, cell (what runs of different seeds share), label, shortcut, depth, unit, data, recipe, seed,
    state (of ablate.runs.reading.Run), reason, device, precision, threads, config (the resolved configuration),
    evaluated_on, and the numbers of result.json: errors in percent, seconds of wall clock, images_per_second of
    training; NaN where a run has none.

    Raises AblateError where `path` holds no run or no such experiment was asked for.
    """
    found = read_runs(Path(path), experiment)
    return Records(pandas.DataFrame([_row(run) for run in found.runs]), found.unread)


def _row(run: Run) -> dict[str, Any]:
    config, result = run.config, run.result
    row: dict[str, Any] = {
        "folder": run.folder.name,
        "cell": run.cell,
        "label": label(config["shortcut"]),
        "shortcut": config["shortcut"]["name"],
        "depth": config["depth"],
        "unit": config["unit"]["name"],
        "data": config["data"]["name"],
        "recipe": config["recipe"]["name"],
        "seed": config["seed"],
        "state": run.state,
        "reason": result.get("reason"),
        **{key: result.get(key) for key in ("device", "precision", "threads")},
        "evaluated_on": result.get("evaluated_on", "validation" if config["data"]["validation"] else "test"),
        "config": config,
    }
    for key in NUMBERS:
        value = result.get(key)
        row[key] = float("nan") if value is None else float(value)
    return row
