"""Records as a table: one row a run. A record that cannot be read is named and left out, never guessed at."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas
import yaml

from ablate.errors import AblateError
from ablate.runs.signature import SCHEMA, cell, label, signature

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
STATES = ("finished", "diverged", "interrupted", "failed", "running", "missing")


@dataclass(frozen=True)
class Records:
    """`runs`: one row a run, columns as `load` documents. `unread`: a sentence for each record left out."""

    runs: pandas.DataFrame
    unread: list[str]


def load(path: str | Path, experiment: str | None = None) -> Records:
    """Every run below `path`, or those of one experiment.

    Columns: folder, cell (what runs of different seeds share), label, shortcut, depth, unit, data, recipe, seed,
    status, reason, experiment, config (the resolved configuration), evaluated_on, and the numbers of result.json:
    errors in percent, seconds of wall clock, images_per_second of training; NaN where a run has none.

    Raises AblateError where `path` holds no run or no such experiment was asked for.
    """
    path = Path(path)
    if not path.is_dir():
        raise AblateError(
            f"{path} is not a folder: name the one that holds the runs (results/runs unless results= was given)"
        )
    folders = {e.name: e for e in sorted(path.iterdir()) if e.is_dir() and not e.name.startswith(("_", "."))}
    asked = plan(path, experiment) if experiment is not None else {}
    rows, unread = [], []
    for name in asked or folders:
        try:
            rows.append(_row(folders[name]) if name in folders else _flat(name, asked[name], {"status": "missing"}))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            reason = (str(error).splitlines() or [""])[0]
            unread.append(f"{path / name} is left out, it is not a whole record: {type(error).__name__}: {reason}")
    if not rows:
        found = unread[0] if unread else f"{path} holds no runs"
        raise AblateError(f"{found}; train one first: python -m ablate shortcut=gate")
    return Records(pandas.DataFrame(rows), unread)


def plan(path: Path, experiment: str) -> dict[str, dict[str, Any]]:
    """The configurations that an experiment has asked for, by folder, in its order."""
    plans = {file.stem: file for file in sorted((path / "_grids").glob("*.json"))}
    if experiment not in plans:
        known = f"known here: {', '.join(plans)}" if plans else "no experiment was run here"
        raise AblateError(f"no run in {path} belongs to an experiment {experiment!r}; {known}")
    try:
        return dict(json.loads(plans[experiment].read_text())["runs"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AblateError(f"{plans[experiment]} cannot be read: start the experiment again to write it anew") from error


def _row(folder: Path) -> dict[str, Any]:
    try:
        result = json.loads((folder / "result.json").read_text())
    except FileNotFoundError:  # under way, or killed
        config = yaml.load((folder / "config.yaml").read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        result = {"schema": SCHEMA, "status": "running", "signature": signature(config), "config": config}
    if result["schema"] != SCHEMA:
        raise ValueError(f"schema {result['schema']}, where this version reads {SCHEMA}")
    config = result["config"]
    if signature(config) != result["signature"]:
        raise ValueError("its configuration does not have its signature")
    if result["status"] not in STATES:
        raise ValueError(f"status {result['status']!r}")
    row = _flat(folder.name, config, result)
    if row["status"] == "finished" and not 0 <= row["test_error"] <= 100:
        raise ValueError(f"a finished run with a test error of {result.get('test_error')}")
    return row


def _flat(folder: str, config: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "folder": folder,
        "cell": cell(config),
        "label": label(config["shortcut"]),
        "shortcut": config["shortcut"]["name"],
        "depth": config["depth"],
        "unit": config["unit"]["name"],
        "data": config["data"]["name"],
        "recipe": config["recipe"]["name"],
        "seed": config["seed"],
        "status": result["status"],
        "reason": result.get("reason"),
        "experiment": config["experiment"],
        "evaluated_on": result.get("evaluated_on", "validation" if config["data"]["validation"] else "test"),
        "config": config,
    }
    for key in NUMBERS:
        value = result.get(key)
        row[key] = float("nan") if value is None else float(value)
    return row
