"""What W&B is sent of a record: its id, its names, its numbers. Does not import wandb."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ablate.base.files import read_json
from ablate.runs import layout
from ablate.runs.naming import label, names
from ablate.runs.reading import NUMBERS, YamlLoader
from ablate.runs.record import read_metrics

TAG, NAME = 64, 128
"""W&B's limits: characters of a tag, and of a name."""
FINAL = ("status", "reason", *NUMBERS, "precision", "device", "weights_sha256")
"""The keys of result.json that W&B's summary has under the same names."""


@dataclass(frozen=True)
class Facts:
    """What `wandb.init` is given of a run. `config` has what people group by in flat keys, and the tree as `config`."""

    id: str
    name: str
    project: str
    entity: str | None
    group: str | None
    tags: tuple[str, ...]
    config: dict[str, Any]


def facts(folder: Path, project: str | None = None, entity: str | None = None) -> Facts:
    """The record in `folder` on W&B, in its own project or the given one.

    Raises OSError or ValueError if the folder holds no record.
    """
    path = folder / layout.CONFIG
    try:
        return _facts(folder, yaml.load(path.read_bytes(), Loader=YamlLoader), project, entity)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the configuration of a run") from error


def _facts(folder: Path, tree: dict[str, Any], project: str | None, entity: str | None) -> Facts:
    wanted = tree["tracker"]
    flat = {
        "shortcut": label(tree["shortcut"]),
        "depth": tree["depth"],
        "unit": str(tree["unit"]["name"]),
        "data": str(tree["data"]["name"]),
        "recipe": str(tree["recipe"]["name"]),
        "seed": tree["seed"],
    }
    tags = (str(tree["shortcut"]["name"]), flat["data"], f"depth {tree['depth']}")
    swept = sweep(folder)
    return Facts(
        id=run_id(folder),
        name=(wanted["run"] or names([tree])[0])[:NAME],
        project=project or swept.get("project") or wanted["project"],
        entity=entity or swept.get("entity") or wanted["entity"],
        group=tree["experiment"][:NAME] if tree["experiment"] else None,
        tags=tuple(tag[:TAG] for tag in tags),
        config={**flat, "signature": _signature(folder), "folder": folder.name, "config": tree},
    )


def run_id(folder: Path) -> str:
    """The run's id on W&B: its signature, with a number if rerun= has archived earlier records of it.

    A run of a W&B sweep has the id that the sweep gave it.
    """
    if given := sweep(folder).get("id"):
        return str(given)
    signature = _signature(folder)
    archived = len(list((folder.parent / layout.ARCHIVED).glob(f"*-{signature}.*")))
    return f"{signature}-{archived + 1}" if archived else signature


def _signature(folder: Path) -> str:
    return folder.name.rpartition("-")[2]


def sweep(folder: Path) -> dict[str, Any]:
    """Id, project, entity and sweep of a run that a W&B sweep asked for, else nothing.

    The agent of a sweep passes them in the environment, where wandb itself finds them; later they are in the ledger.
    """
    keys = {"id": "RUN_ID", "project": "PROJECT", "entity": "ENTITY", "sweep": "SWEEP_ID"}
    asked = {key: os.environ.get(f"WANDB_{name}") for key, name in keys.items()}
    if asked["sweep"] and asked["id"]:
        return asked
    noted = ledger(folder)
    return {key: noted.get(key) for key in keys} if noted.get("sweep") else {}


def ledger(folder: Path) -> dict[str, Any]:
    """What was recorded of sending the record: the W&B run, the last step, whether the server has confirmed it."""
    return _read(folder / layout.WANDB_LEDGER)


def result(folder: Path) -> dict[str, Any]:
    """The content of result.json, or nothing if the run is unfinished or was killed."""
    return _read(folder / layout.RESULT)


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError):
        return read_json(path) or {}
    return {}


def rows(folder: Path) -> list[dict[str, Any]]:
    """Every evaluation of a record, flat: what probes measured is under PROBE/PLACE. Skips invalid lines."""
    try:
        lines, _ = read_metrics(folder)
    except OSError:  # the next look tries again
        return []
    return [_row(line) for line in lines]


def _row(line: dict[str, Any]) -> dict[str, Any]:
    probes = line.pop("probes", None)
    flat = {**line, **(probes if isinstance(probes, dict) else {})}
    return {key: value for key, value in flat.items() if value is not None}


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The final numbers. One that the result lacks is None, which replaces the value of the last evaluation on W&B:
    a diverged run must not show that as its error."""
    return {key: result[key] for key in FINAL if key in result}
