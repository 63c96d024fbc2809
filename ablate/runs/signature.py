"""A run's identity: a hash of its resolved configuration, without what cannot change the result."""

import hashlib
import json
import re
from typing import Any

SCHEMA = 1
"""Raised when the same configuration comes to mean another computation, or a record another layout."""

EXCLUDED = {
    "results": "where a record lies is not what it says",
    "experiment": "one run may belong to several grids",
    "data.root": "where pictures lie; what they are is in data.name, and in data.fingerprint for a folder",
    "data.download": "how pictures came to lie there",
    "graph": "a graph repeats the very steps, and is held against them first",
    "tracker": "who else is shown the run",
    "checkpoint": "a resumed run ends in the same bits, wherever it was cut",
    "pack": "what else runs at the same time; threads, which follow from it on a CPU, are in the record",
    "rerun": "whether to train again, not what",
    "dry_run": "whether to train at all",
}

LATER = ("probes", "compile")
"""Switches that came later: off, they are as good as absent, and a run keeps the identity it had before them."""


def identity(tree: dict[str, Any]) -> dict[str, Any]:
    """The part of a configuration that decides the result, in canonical form: 1 for 1.0, GPUs without their index.

    `tree` is a resolved configuration as plain values: `asdict(config)`, or a record's config.yaml.
    """
    tree = _canonical(tree)
    for path in EXCLUDED:
        *parents, leaf = path.split(".")
        node = tree
        for parent in parents:
            node = node[parent]
        node.pop(leaf, None)
    for key in LATER:
        if not tree.get(key):
            tree.pop(key, None)
    tree["device"] = tree["device"].split(":")[0]  # which of several alike GPUs
    return {"schema": SCHEMA, **tree}


def signature(tree: dict[str, Any]) -> str:
    """Sixteen hexadecimal digits; equal for equal requests, whatever the order of keys or the spelling of numbers."""
    return _digest(identity(tree))


def cell(tree: dict[str, Any]) -> str:
    """The signature of a grid's cell: its runs differ in the seed alone."""
    return signature_and_cell(tree)[1]


def signature_and_cell(tree: dict[str, Any]) -> tuple[str, str]:
    """Both at the cost of one, for whoever reads a hundred thousand records."""
    whole = identity(tree)
    signature = _digest(whole)
    del whole["seed"]
    return signature, _digest(whole)


def folder_name(tree: dict[str, Any]) -> str:
    """NAME-SIGNATURE: the name is for people, the signature tells runs apart."""
    words = [tree["data"]["name"], str(tree["shortcut"]["name"]), f"d{tree['depth']}", f"s{tree['seed']}"]
    name = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", word)[:40] for word in words)
    return f"{name}-{signature(tree)}"


def label(shortcut: dict[str, Any]) -> str:
    """A shortcut with its own parameters, in a few words: 'gate bias_init=-6'."""
    own = {key: value for key, value in shortcut.items() if key not in ("name", "source", "_target_")}
    if own.get("option") == "A":
        del own["option"]
    words = (
        f"{key}={value:g}"
        if isinstance(value, float)
        else f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in own.items()
    )
    return " ".join([str(shortcut["name"]), *words])


def _digest(tree: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True, allow_nan=False).encode()).hexdigest()[:16]


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return value
