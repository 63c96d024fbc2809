"""What a record is on W&B: its id, its names, its numbers. Needs no wandb."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ablate.config import Tracker
from ablate.runs.record import ASIDE
from ablate.runs.signature import EXCLUDED, label

TAG = 64
"""Letters that a tag may have."""
NOT_COMPARED = ("results", "tracker", "checkpoint", "rerun", "dry_run", "experiment", "device", "threads")
"""Keys that name no run, though a grid may vary them."""


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


def facts(folder: Path) -> Facts:
    """What the record in `folder` is there. Raises OSError, ValueError, KeyError or TypeError where it is none."""
    tree = yaml.safe_load((folder / "config.yaml").read_text())
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
    return Facts(
        id=run_id(folder),
        name=asked["run"] or names([tree])[0],
        project=asked["project"],
        entity=asked["entity"],
        group=tree.get("experiment"),
        tags=tuple(tag[:TAG] for tag in tags),
        config={**flat, "signature": folder.name.rpartition("-")[2], "folder": folder.name, "config": tree},
    )


def run_id(folder: Path) -> str:
    """The signature; where older records of the same run were set aside by rerun=, with how many they are.

    A W&B sweep hands out its own ids, and looks for its runs under them.
    """
    if os.environ.get("WANDB_SWEEP_ID") and (given := os.environ.get("WANDB_RUN_ID")):
        return given
    signature = folder.name.rpartition("-")[2]
    before = sum(1 for path in (folder.parent / ASIDE).glob(f"*-{signature}.*"))
    return f"{signature}-{before + 1}" if before else signature


def names(trees: Sequence[dict[str, Any]]) -> list[str]:
    """A name for each run of a grid: its shortcut, and what else differs in the grid.

    `trees` are resolved configurations as plain values.
    """
    flat = [_flat(tree) for tree in trees]
    keys = list(dict.fromkeys(key for one in flat for key in one))
    differing = [key for key in keys if len({json.dumps(one.get(key)) for one in flat}) > 1]
    if len(trees) == 1:
        differing = ["depth", "seed"]
    short = {"depth": "d{}", "seed": "s{}", "data.name": "{}", "recipe.name": "{}", "unit.name": "{}"}
    # A set of pictures and a recipe bring several keys with them: where their names differ, the names are enough.
    for group in ("data", "recipe", "unit"):
        if f"{group}.name" in differing:
            differing = [key for key in differing if not key.startswith(f"{group}.") or key == f"{group}.name"]
    return [
        " ".join(
            [
                label(tree["shortcut"]),
                *(short.get(key, f"{key}={{}}").format(one.get(key)) for key in differing if key in one),
            ]
        )
        for tree, one in zip(trees, flat, strict=True)
    ]


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted keys, without the shortcut, which its label tells, and without what does not change a result."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        path = prefix + key
        if path in NOT_COMPARED or path in EXCLUDED or path == "shortcut":
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{path}.")
        else:
            flat[path] = value
    return flat


def rows(folder: Path) -> list[dict[str, Any]]:
    """Every whole line of metrics.jsonl, flat: what a probe measured stands under PROBE/PLACE."""
    try:
        text = (folder / "metrics.jsonl").read_text()
    except FileNotFoundError:
        return []
    lines = []
    for line in text.splitlines(keepends=True):
        try:
            if line.endswith("\n"):
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
    try:
        found = json.loads((folder / "result.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


FINAL = (
    "status",
    "reason",
    "test_error",
    "best_test_error",
    "train_loss",
    "train_error",
    "parameters",
    "multiply_adds",
    "seconds",
    "images_per_second",
    "steps",
    "precision",
    "device",
    "weights_sha256",
)
"""What W&B's summary takes from result.json, under the same names."""


def summary(result: dict[str, Any]) -> dict[str, Any]:
    """The final numbers. None, where the result has none, takes away there what the last evaluation left: it would pass
    for the error of a run that diverged."""
    return {key: result[key] for key in FINAL if key in result}
