"""What runs are called: by their shortcut, and by what else differs among them."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ablate.config.schema import LABELS, as_typed
from ablate.runs.identity import BASIC, EXCLUDED, RESNET, cell, signature

LAST = ("device", "threads")
"""Keys that name a run only if nothing else distinguishes it."""
DEFAULTS = {
    **{"option": "A", "weight_init": "zero", "decay_bias": True, "scaling": "train"},
    **{"order": "original", "stride_in": "3x3"},
}
"""Parameters of shipped shortcuts and units that are named only at another value."""
SHORT = {"depth": "d{}", "seed": "s{}", "data.name": "{}", "recipe.name": "{}"}


def label(shortcut: dict[str, Any]) -> str:
    """A shortcut with its parameters: 'gate bias_init=-6'."""
    return " ".join([str(shortcut["name"]), *_parameters(shortcut)])


def title(tree: dict[str, Any]) -> str:
    """The shortcut, and a unit or network other than the usual: 'gate bias_init=-6 unit=preact unit.groups=2'."""
    return " ".join([label(tree["shortcut"]), *surroundings(tree)])


def surroundings(tree: dict[str, Any]) -> list[str]:
    """The words of `title` after the shortcut."""
    unit, net = tree["unit"], network(tree)
    words = [] if unit["name"] == BASIC else [f"unit={unit['name']}"]
    words += [f"unit.{word}" for word in _parameters(unit)]
    return [*words, *([] if net == RESNET else [f"net={net}"])]


def network(tree: dict[str, Any]) -> str:
    """The name of a run's network; records from before there were several name none."""
    return str(tree.get("net", {}).get("name", RESNET))


def _parameters(node: dict[str, Any]) -> list[str]:
    hidden = {*LABELS}
    if "source" not in node:
        hidden |= {key for key, value in DEFAULTS.items() if node.get(key) == value}
    return [
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={as_typed(value)}"
        for key, value in node.items()
        if key not in hidden
    ]


def describe(tree: dict[str, Any], variant: str | None = None) -> str:
    """A run in one line: 'gate bias_init=-6, depth 20, digits, seed 0'."""
    return f"{variant or title(tree)}, depth {tree['depth']}, {tree['data']['name']}, seed {tree['seed']}"


def names(trees: Sequence[dict[str, Any]]) -> list[str]:
    """A name for each run of a grid: its title, and what else differs in the grid.

    `trees` are resolved configurations as plain values.
    """
    if len(trees) == 1:
        return [_name(trees[0], flatten(trees[0]), ["depth", "seed"])]
    return _distinct(trees, signature)


def variants(trees: Sequence[dict[str, Any]]) -> list[str]:
    """Each run's title, and what distinguishes it from others of its title, depth and data, except the seed."""
    alike: dict[tuple[Any, ...], list[int]] = {}
    for place, tree in enumerate(trees):
        alike.setdefault((title(tree), tree["depth"], tree["data"]["name"]), []).append(place)
    found = [""] * len(trees)
    for places in alike.values():
        for place, name in zip(places, _distinct([trees[place] for place in places], cell, "seed"), strict=True):
            found[place] = name
    return found


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of keys as one level of dotted ones."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def differing(flat: Sequence[dict[str, Any]], *ignored: str) -> list[str]:
    """The dotted keys whose values differ, in order; keys of groups in `ignored` do not count."""
    keys = dict.fromkeys(key for one in flat for key in one if not within(key, ignored))
    return [key for key in keys if len({json.dumps(one.get(key)) for one in flat}) > 1]


def within(key: str, groups: Iterable[str]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def _distinct(trees: Sequence[dict[str, Any]], identify: Callable[[dict[str, Any]], str], *ignored: str) -> list[str]:
    """Names by what differs, in few words; in more if few leave two different runs with one name."""
    different = len({identify(tree) for tree in trees})
    flat = [flatten(tree) for tree in trees]
    keys = differing(flat, *EXCLUDED, "shortcut", *ignored)
    for chosen in (_brief(keys), keys):
        shown = [key for key in chosen if not in_title(key)]
        found = [_name(tree, one, shown) for tree, one in zip(trees, flat, strict=True)]
        if len(set(found)) >= different:
            break
    return found


def in_title(key: str) -> bool:
    """Whether `title` has a key: of a network it has the name, of a unit all but its class and source."""
    return key == "net.name" or (within(key, ["unit"]) and key not in ("unit._target_", "unit.source"))


def _brief(keys: Sequence[str]) -> list[str]:
    """A dataset or recipe brings several keys with it: if their names differ, the names are enough."""
    named = [group for group in ("data", "recipe", "unit", "net") if f"{group}.name" in keys]
    return [key for key in keys if key not in LAST and (not within(key, named) or key.endswith(".name"))]


def _name(tree: dict[str, Any], flat: dict[str, Any], keys: Sequence[str]) -> str:
    values = {key: as_typed(flat[key]).removesuffix(".0") for key in keys if key in flat}
    words = (SHORT.get(key, f"{key}={{}}").format(value) for key, value in values.items())
    return " ".join([title(tree), *words])
