"""Keys of a configuration: their values as typed, and names of rows by the keys that differ."""

import json
from typing import Any

from pandas import DataFrame

from ablate.base.errors import ConfigError
from ablate.base.terminal import plain
from ablate.runs.identity import EXCLUDED, NEUTRAL, identity
from ablate.runs.naming import differing, flatten, label, within

SETTINGS = ("data", "recipe", "unit", "depth")
"""What a table shows in a column of its own where it differs."""
NOT_OF_A_CELL = ("seed", *EXCLUDED)


def typed(config: dict[str, Any], key: str) -> str | None:
    """The value of a dotted key as it is typed, or the name of a group; None if there is no such key."""
    node: Any = config
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return None
        node = node[part]
    if isinstance(node, dict):
        node = node.get("name")
    return _text(node)


def check_key(option: str, key: str) -> None:
    """Raise ConfigError if rows of a table cannot differ in `key`."""
    if key.partition(".")[0] in NOT_OF_A_CELL:
        raise ConfigError(f"{option}: rows do not differ in {key}; use another key, such as shortcut or recipe.batch")


def without(config: dict[str, Any], *keys: str) -> str:
    """The identity of a cell without `keys` and the groups among them, as a string to compare."""
    flat = flatten(identity(config))
    rest = {name: value for name, value in flat.items() if not within(name, ("seed", *keys))}
    return json.dumps(rest, sort_keys=True)


def labels(cells: DataFrame, *axes: str, settings: bool = False) -> list[str]:
    """A name for each row: its shortcut, every key that distinguishes rows, and with `settings` the SETTINGS that do.

    A key of a group that has a name, as recipe.epochs, is added only where rows of the same name differ in it. The
    keys in `axes` are left out: a figure or table shows them already.
    """
    configs = list(cells.config)
    flat = [flatten(NEUTRAL) | flatten(identity(config)) for config in configs]
    shortcuts = [
        label({key: value for key, value in config["shortcut"].items() if f"shortcut.{key}" not in axes})
        for config in configs
    ]
    names = list(shortcuts)
    for key in sorted({*differing(flat, "seed")} - {*axes}):
        group = key.partition(".")[0]
        groups = shortcuts if group == "shortcut" else [typed(c, group) if group in SETTINGS else "" for c in configs]
        words = [_text(one.get(key)) for one in flat]
        values: dict[str | None, set[str]] = {}
        for name, word in zip(groups, words, strict=True):
            values.setdefault(name, set()).add(word)
        names = [
            f"{name} {key}={word}" if len(values[group]) > 1 else name
            for name, word, group in zip(names, words, groups, strict=True)
        ]
    if settings:
        for key in (key for key in SETTINGS if key not in axes and cells[key].nunique() > 1):
            names = [f"{name}, {key} {value}" for name, value in zip(names, cells[key], strict=True)]
    return [plain(name) for name in names]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)
