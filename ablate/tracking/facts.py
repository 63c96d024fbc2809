"""What a record is on W&B: its id, its names, its numbers. Needs no wandb."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ablate.config.schema import Tracker
from ablate.runs.layout import ARCHIVED
from ablate.runs.naming import label, names
from ablate.runs.reading import NUMBERS

LEDGER = "wandb.json"
"""In a run's folder: under which id it was sent, how far, and whether the server has said that it has it."""
TAG, NAME = 64, 128
"""Letters that a tag may have, and a name."""


@dataclass(frozen=True)
class Facts:
    """How a run stands on W&B. `config` has what people group by in flat keys, and the whole tree under `config`."""

    id: str
    name: str
    project: str
    entity: str | None
    group: str | None
    tags: tuple[str, ...]
    config: dict[str, Any]
    sweep: str | None


def facts(folder: Path) -> Facts:
    """What the record in `folder` is there. Raises OSError or ValueError where it is none."""
    try:
        return _facts(folder, yaml.safe_load((folder / "config.yaml").read_text()))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / 'config.yaml'} is no run's configuration") from error


def _facts(folder: Path, tree: dict[str, Any]) -> Facts:
    asked = {**vars(Tracker()), **tree.get("tracker", {})}
    flat = {
        "shortcut": label(tree["shortcut"]),
        "depth": tree["depth"],
        "unit": str(tree["unit"]["name"]),
        "data": str(tree["data"]["name"]),
        "recipe": str(tree["recipe"]["name"]),
        "seed": tree["seed"],
    }
    tags = [str(tree["shortcut"]["name"]), flat["data"], f"depth {tree['depth']}"]
    sweep = _sweep(folder)
    return Facts(
        id=run_id(folder),
        name=(asked["run"] or names([tree])[0])[:NAME],
        project=sweep.get("project") or asked["project"],
        entity=sweep.get("entity") or asked["entity"],
        group=tree["experiment"][:NAME] if tree.get("experiment") else None,
        tags=tuple(tag[:TAG] for tag in tags),
        sweep=sweep.get("sweep"),
        config={**flat, "signature": folder.name.rpartition("-")[2], "folder": folder.name, "config": tree},
    )


def run_id(folder: Path) -> str:
    """The signature; where older records of the same run were set aside by rerun=, with how many they are.

    A run of a W&B sweep has the id that the sweep gave it.
    """
    if given := _sweep(folder).get("id"):
        return str(given)
    signature = folder.name.rpartition("-")[2]
    before = sum(1 for path in (folder.parent / ARCHIVED).glob(f"*-{signature}.*"))
    return f"{signature}-{before + 1}" if before else signature


def _sweep(folder: Path) -> dict[str, Any]:
    """Id, project, entity and sweep that the agent of a W&B sweep asks for now, or under which it was shown before.

    Nothing for a run that no sweep has asked for. wandb itself takes all four from the agent's environment.
    """
    names = {"id": "RUN_ID", "project": "PROJECT", "entity": "ENTITY", "sweep": "SWEEP_ID"}
    asked = {key: os.environ.get(f"WANDB_{name}") for key, name in names.items()}
    if asked["sweep"] and asked["id"]:
        return asked
    noted = ledger(folder)
    return {key: noted.get(key) for key in names} if noted.get("sweep") else {}


def ledger(folder: Path) -> dict[str, Any]:
    """What was noted of a record's last session, or nothing."""
    return _read(folder / LEDGER)


def rows(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of metrics.jsonl, flat: what a probe measured stands under PROBE/PLACE."""
    try:
        text = (folder / "metrics.jsonl").read_text(errors="replace")
    except OSError:
        return []
    lines = []
    for line in text.split("\n")[:-1]:  # what stands after the last newline is still being written
        try:
            lines.append(_row(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line that is none; the report says so
    return lines


def _row(line: dict[str, Any]) -> dict[str, Any]:
    probes = line.pop("probes", None) or {}
    row = {key: value for key, value in line.items() if value is not None}
    row["step"] = int(row["step"])
    return {**row, **{key: value for key, value in probes.items() if value is not None}}


def result(folder: Path) -> dict[str, Any]:
    """What result.json says, or nothing while the run is under way or was killed."""
    return _read(folder / "result.json")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


FINAL = ("status", "reason", *NUMBERS, "precision", "device", "weights_sha256")
"""What W&B's summary takes from result.json, under the same names."""


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The final numbers. None, where the result has none, takes away there what the last evaluation left: it would pass
    for the error of a run that diverged."""
    return {key: result[key] for key in FINAL if key in result}
