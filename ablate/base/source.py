"""Classes named by `_target_`: finding their module without importing it, and loading them."""

import functools
import importlib
import importlib.util
from importlib.machinery import ModuleSpec
from typing import Any


def find(target: str) -> tuple[ModuleSpec, list[str]]:
    """The module in MODULE.CLASS or MODULE.CLASS.INNER, and the names after it.

    Raises ImportError if there is no such module, and whatever a package's __init__ raises: parents are imported.
    """
    first, *rest = target.split(".")
    module = importlib.util.find_spec(first)
    if module is None:
        raise ModuleNotFoundError(f"there is no module {first!r} on the path")
    while len(rest) > 1 and module.submodule_search_locations is not None:
        inner = importlib.util.find_spec(f"{module.name}.{rest[0]}")
        if inner is None:
            break
        module, rest = inner, rest[1:]
    if module.origin is None and rest:  # a folder without __init__ defines no names
        raise ModuleNotFoundError(f"there is no module {rest[0]!r} in {module.name}")
    return module, rest


def load(target: str) -> Any:
    """Import what `target` names. Raises ImportError or AttributeError if it does not exist."""
    module, names = find(target)
    return functools.reduce(getattr, names, importlib.import_module(module.name))
