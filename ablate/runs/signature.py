"""A run's identity: a hash of its resolved configuration, without what cannot change the result."""

import hashlib
import json
import re
from dataclasses import asdict
from typing import Any

from ablate.config import Config

SCHEMA = 1
"""Raised when the same configuration comes to mean another computation, or a record another layout."""

EXCLUDED = {
    "results": "where a record lies is not what it says",
    "experiment": "one run may belong to several grids",
    "data.root": "where pictures lie; what they are is in data.name, and in data.fingerprint for a folder",
    "data.download": "how pictures came to lie there",
}


def identity(config: Config) -> dict[str, Any]:
    """The part of a configuration that decides the result, in canonical form: 1 for 1.0, one index-free device."""
    tree = asdict(config)
    for path in EXCLUDED:
        *parents, leaf = path.split(".")
        node = tree
        for parent in parents:
            node = node[parent]
        del node[leaf]
    tree["device"] = tree["device"].split(":")[0]  # which of several alike GPUs
    return {"schema": SCHEMA, **_canonical(tree)}


def signature(config: Config) -> str:
    """Sixteen hexadecimal digits; equal for equal requests, whatever the order of keys or the spelling of numbers."""
    text = json.dumps(identity(config), sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def folder_name(config: Config) -> str:
    """NAME-SIGNATURE: the name is for people, the signature tells runs apart."""
    words = [config.data.name, str(config.shortcut["name"]), f"d{config.depth}", f"s{config.seed}"]
    name = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", word)[:40] for word in words)
    return f"{name}-{signature(config)}"


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_canonical(item) for item in value]
    return value
