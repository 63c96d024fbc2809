"""Keys of a configuration: their values as typed, and names of rows by the keys that differ."""

import functools
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from pandas import DataFrame

from ablate.base.errors import ConfigError
from ablate.base.terminal import plain
from ablate.runs.identity import EXCLUDED, NEUTRAL, identity
from ablate.runs.naming import differing, flatten, in_title, label, surroundings, within

SETTINGS = ("data", "recipe", "net", "unit", "depth")
"""What a table shows in a column of its own where it differs."""
NOT_OF_A_CELL = ("seed", *EXCLUDED)


def typed(config: dict[str, Any], key: str) -> str | None:
    """The value of a dotted key as it is typed, or the name of a group; None if there is no such key."""
    flat = flatten(config)
    found = key if key in flat else f"{key}.name"
    return _text(flat[found]) if found in flat else None


def is_value(config: dict[str, Any], key: str, word: str) -> bool:
    """Whether a dotted key has the value, or a group the name, that `word` means on the command line."""
    flat = flatten(config)
    found = key if key in flat else f"{key}.name"
    if found not in flat or word == _text(flat[found]):
        return found in flat
    value = _parsed(word)
    return isinstance(value, bool) == isinstance(flat[found], bool) and value == flat[found]


@functools.cache
def _parsed(word: str) -> Any:
    """A value as Hydra reads it on the command line; a word that it cannot read is text."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return OverridesParser.create().parse_override(f"key={word}").value()
    except HydraException:
        return word


def key_and_value(option: str, words: str) -> tuple[str, str]:
    """The two parts of KEY=VALUE, given to an option. Raises ConfigError if there is no =."""
    key, equals, value = words.partition("=")
    if not equals:
        raise ConfigError(f"{option} {words} is not KEY=VALUE, as in {option} depth=110")
    return recorded(key), value


def recorded(key: str) -> str:
    """The key of records for one of the command line, whose `iterations` and `epochs` are the recipe's."""
    return f"recipe.{key}" if key in ("iterations", "epochs") else key


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
    keys in `axes` are left out: a figure or table shows them already. Names in `cells.attrs` replace others
    (`names.rename`); if they name every row differently, no settings are added.
    """
    configs = list(cells.config)
    flat = [flatten(NEUTRAL) | flatten(identity(config)) for config in configs]
    shortcuts = [
        label({key: value for key, value in config["shortcut"].items() if f"shortcut.{key}" not in axes})
        for config in configs
    ]
    names = shortcuts
    for key in sorted({*differing(flat, "seed", "depth")} - {*axes}):
        if in_title(key):  # in the column of the unit or the network
            continue
        group = key.partition(".")[0]
        groups = shortcuts if group == "shortcut" else [str(one.get(f"{group}.name")) for one in flat]
        words = [_text(one.get(key)) for one in flat]
        values = Counter(of for of, _ in {*zip(groups, words, strict=True)})
        names = [
            f"{name} {key}={word}" if values[of] > 1 else name
            for name, of, word in zip(names, groups, words, strict=True)
        ]
    other = cells.attrs.get("names", {})
    given = [
        other.get(" ".join([name, *surroundings(config)]), other.get(name))
        for name, config in zip(names, configs, strict=True)
    ]
    names = [name if one is None else one for name, one in zip(names, given, strict=True)]
    if settings and (None in given or len({*given}) < len(given)):
        for key in (key for key in SETTINGS if key not in axes and cells[key].nunique() > 1):
            names = [f"{name}, {key} {value}" for name, value in zip(names, _apart(cells[key]), strict=True)]
    return [plain(name) for name in names]


def _apart(values: Iterable[Any]) -> list[str]:
    """Values of a setting without the words that all of them have: 'basic' where all units have the same order."""
    texts = [str(value) for value in values]
    shared = set.intersection(*(set(text.split()) for text in texts))
    short = [" ".join(word for word in text.split() if word not in shared) for text in texts]
    return short if all(short) else texts


def _text(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else json.dumps(value)
