"""A run's identity: a hash of its resolved configuration, without what cannot change the result."""

import hashlib
import json
import re
from typing import Any

from ablate.config.schema import SIGNAL, probes_of

SCHEMA = 3
"""Raised when a record gets another layout, or a configuration another meaning that hashes of code do not show."""

BASIC, RESNET = "basic", "resnet"
"""The unit and the network that names of runs leave out."""

EXCLUDED = {
    "results": "the folder that records are in",
    "experiment": "a run may belong to several grids",
    "name": "sets experiment",
    "net.option": "sets shortcut.option",
    "data.root": "where images are; what they are is data.name, and data.fingerprint for a folder",
    "data.workers": "how many processes read images",
    "data.download": "how images came to be there",
    "init_from": "where initial weights are; what they are is init_fingerprint",
    "graph": "a CUDA graph repeats the same steps, and is checked against them",
    "activation_checkpointing": "a recomputation has the bits of the forward pass",
    "tracker": "where the run is shown",
    "checkpoint": "a resumed run ends with the same bits, wherever it was interrupted",
    "pack": "what else runs at the same time; a CPU's threads, which depend on it, are in the record",
    "rerun": "whether to train again, not what",
    "accept_code": "whether work of other code counts; the record says which code it was",
    "tune": "how a row's values were found, not what they are",
    "seeds": "how many runs a row gets, not what each is",
    "most_seeds": "the same",
    "fail_fast": "when a grid ends, not what its runs compute",
    "dry_run": "whether to train at all",
}
"""Keys that are not part of the identity, and why."""

NEUTRAL: dict[str, Any] = {
    **{"probes": "none", "probe_every": 100, "compile": False, "sync_batch_norm": False},
    **{"width": 1, "unit.order": "original", "unit.stride_in": "3x3"},
    **{"net.name": "resnet", "net._target_": "ablate.models.resnet.cifar"},
    **{"recipe.schedule": "steps", "recipe.nesterov": False, "recipe.decay_norm": True},
    **{"init_fingerprint": None, "stop_at_chance": None, "data.size": None, "data.colour": False, "data.views": 1},
}
"""Keys added after the first records, and the value at which a run is what it was before them.

At that value a key is left out of the identity, so old signatures stay valid. Any type will do.
"""


def identity(tree: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides the result, in canonical form: 1 for 1.0, GPUs without their index.

    `tree` is a resolved configuration as plain values: `asdict(config)`, or a record's config.yaml.
    """
    tree = _canonical(tree)
    if "probes" in tree:
        tree["probes"] = probes_of(tree["probes"])
    for path in EXCLUDED:
        _remove(tree, path)
    for path, neutral in NEUTRAL.items():
        if path.startswith("unit.") and "source" in tree["unit"]:
            continue  # a custom unit's own parameter
        _remove(tree, path, only=_json(_canonical(neutral)))
    tree["device"] = tree["device"].split(":")[0]  # which of several equal GPUs
    return {"schema": SCHEMA, **tree}


def signature(tree: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits; equal for equal requests, whatever the order of keys or the spelling of numbers."""
    return _digest(identity(tree))


def cell(tree: dict[str, Any]) -> str:
    """The signature of a grid's cell, whose runs differ in the seed alone."""
    return signature_and_cell(tree)[1]


def signature_and_cell(tree: dict[str, Any]) -> tuple[str, str]:
    """Both, faster than one after the other: a reader may need them for a hundred thousand records."""
    whole = identity(tree)
    signature = _digest(whole)
    del whole["seed"]
    return signature, _digest(whole)


def folder_name(tree: dict[str, Any]) -> str:
    """NAME-SIGNATURE: the name is for people, the signature distinguishes runs."""
    unit, order = str(tree["unit"]["name"]), str(tree["unit"].get("order", "original"))
    words = [tree["data"]["name"], str(tree["shortcut"]["name"])]
    words += [*([unit] if unit != BASIC else []), *([order] if order != "original" else [])]
    net = str(tree.get("net", {}).get("name", RESNET))
    words += [*([net] if net != RESNET else []), f"d{tree['depth']}", f"s{tree['seed']}"]
    name = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", word)[:40] for word in words)
    return f"{name}-{signature(tree)}"


def _remove(tree: dict[str, Any], path: str, only: str = "") -> None:
    """Delete a dotted key, if `only` is its value as JSON or empty; and its group if that is then empty."""
    key, _, rest = path.partition(".")
    if rest and isinstance(tree.get(key), dict):
        _remove(tree[key], rest, only)
        if not tree[key]:
            del tree[key]
    # As JSON, false is not 0, nor in a signature; in Python they are equal.
    elif not rest and key in tree and only in ("", _json(tree[key])):
        del tree[key]


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False)


def _digest(tree: dict[str, Any]) -> str:
    if tree.get("probes") == SIGNAL:
        tree = {**tree, "probes": True}  # as in early records
    return hashlib.sha256(_json(tree).encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return value
