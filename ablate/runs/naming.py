"""What runs are called in words: by what differs between them."""

import json
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ablate.runs.signature import EXCLUDED, cell, label, signature

NOT_COMPARED = ("results", "tracker", "checkpoint", "rerun", "dry_run", "experiment")
"""Keys that name no run, though a grid may vary them."""
LAST = ("device", "threads")
"""Keys that name a run only where nothing else tells it from another."""
SHORT = {"depth": "d{}", "seed": "s{}", "data.name": "{}", "recipe.name": "{}", "unit.name": "{}"}


def names(trees: Sequence[dict[str, Any]]) -> list[str]:
    """A name for each run of a grid: its shortcut, and what else differs in the grid.

    `trees` are resolved configurations as plain values.
    """
    if len(trees) == 1:
        return [_name(trees[0], _flat(trees[0]), ["depth", "seed"])]
    return _told_apart(trees, signature)


def variants(trees: Sequence[dict[str, Any]]) -> list[str]:
    """Each run's shortcut, and what tells it from those of the same shortcut, depth and data, but for the seed."""
    alike: dict[Hashable, list[int]] = {}
    for place, tree in enumerate(trees):
        alike.setdefault((label(tree["shortcut"]), tree["depth"], tree["data"]["name"]), []).append(place)
    found = [""] * len(trees)
    for places in alike.values():
        for place, name in zip(places, _told_apart([trees[place] for place in places], cell, "seed"), strict=True):
            found[place] = name
    return found


def _told_apart(trees: Sequence[dict[str, Any]], identify: Callable[[dict[str, Any]], str], *less: str) -> list[str]:
    """Names by what differs, in few words; in more where those leave two that are not the same with one name."""
    different = len({identify(tree) for tree in trees})
    flat = [_flat(tree) for tree in trees]
    for differing in (_brief, _differing):
        keys = [key for key in differing(flat) if key not in less]
        found = [_name(tree, one, keys) for tree, one in zip(trees, flat, strict=True)]
        if len(set(found)) >= different:
            break
    return found


def _name(tree: dict[str, Any], flat: dict[str, Any], differing: Sequence[str]) -> str:
    told = (SHORT.get(key, f"{key}={{}}").format(flat[key]) for key in differing if key in flat)
    return " ".join([label(tree["shortcut"]), *told])


def _differing(flat: Sequence[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for one in flat for key in one)
    return [key for key in keys if len({json.dumps(one.get(key)) for one in flat}) > 1]


def _brief(flat: Sequence[dict[str, Any]]) -> list[str]:
    """A set of pictures and a recipe bring several keys with them: where their names differ, the names may do."""
    found = [key for key in _differing(flat) if key not in LAST]
    for group in ("data", "recipe", "unit"):
        if f"{group}.name" in found:
            found = [key for key in found if not key.startswith(f"{group}.") or key == f"{group}.name"]
    return found


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
