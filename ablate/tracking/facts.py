"""What W&B is sent of a record: its id, its names, its numbers. Does not import wandb."""

import contextlib
import os
from pathlib import Path
from typing import Any

import yaml

from ablate.base.files import read_json
from ablate.runs import layout
from ablate.runs.naming import label, names, network
from ablate.runs.reading import NUMBERS, YamlLoader
from ablate.runs.record import read_metrics

TAG, NAME = 64, 128
"""W&B's limits: characters of a tag, and of a name."""
FINAL = ("status", "reason", "stopped_at", *NUMBERS, "precision", "device", "weights_sha256")
"""The keys of result.json that W&B's summary has under the same names."""


def facts(folder: Path, project: str | None = None, entity: str | None = None) -> dict[str, Any]:
    """What `wandb.init` is given of the record in `folder`; `project` and `entity` replace the record's own.

    Its `config` has what people group by in flat keys, and the whole configuration under `config`. Raises OSError or
    ValueError if the folder holds no record.
    """
    path = folder / layout.CONFIG
    try:
        tree = yaml.load(path.read_bytes(), Loader=YamlLoader)
        asked, group, swept = tree["tracker"], tree["experiment"], sweep(folder)
        flat = {
            "shortcut": label(tree["shortcut"]),
            "depth": tree["depth"],
            "net": network(tree),
            "unit": label(tree["unit"]),
            "data": str(tree["data"]["name"]),
            "recipe": str(tree["recipe"]["name"]),
            "seed": tree["seed"],
        }
        tags = (str(tree["shortcut"]["name"]), flat["data"], f"depth {tree['depth']}")
        return {
            "id": run_id(folder),
            "name": (asked["run"] or names([tree])[0])[:NAME],
            "project": project or swept.get("project") or asked["project"],
            "entity": entity or swept.get("entity") or asked["entity"],
            "group": group and group[:NAME],
            "tags": [tag[:TAG] for tag in tags],
            "config": {**flat, "signature": _signature(folder), "folder": folder.name, "config": tree},
        }
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the configuration of a run") from error


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
    noted = read(folder, layout.WANDB_LEDGER)
    return {key: noted.get(key) for key in keys} if noted.get("sweep") else {}


def read(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of the record, or nothing."""
    with contextlib.suppress(OSError):
        return read_json(folder / name) or {}
    return {}


def rows(folder: Path) -> list[dict[str, Any]]:
    """Every evaluation of a record, flat: what probes measured is under PROBE/PLACE. Skips invalid lines."""
    try:
        lines, _ = read_metrics(folder)
    except OSError:  # the next look tries again
        return []
    return [_flat(line) for line in lines]


def _flat(line: dict[str, Any]) -> dict[str, Any]:
    probes = line.pop("probes", None)
    flat = {**line, **(probes if isinstance(probes, dict) else {})}
    return {key: value for key, value in flat.items() if value is not None}


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The final numbers. One that the result lacks is None, which replaces the value of the last evaluation on W&B:
    a diverged run must not show that as its error."""
    return {key: result[key] for key in FINAL if key in result}
