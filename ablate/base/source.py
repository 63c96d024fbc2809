"""Classes named by `_target_`: finding their module without importing it, and loading them."""

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sysconfig
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from ablate.base.code import LENGTH, hash_definition


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


def identify(target: str) -> str | None:
    """What changes when the code of a class does: a hash of its source and what that uses, or its installed package.

    None for a built-in class. Raises as `find` does, and OSError, SyntaxError or ValueError for what cannot be read as
    Python.
    """
    module, names = find(target)
    path = Path(module.origin or "")
    if any(path.is_relative_to(sysconfig.get_path(name)) for name in ("purelib", "platlib")):
        packages = importlib.metadata.packages_distributions().get(module.name.partition(".")[0], [])
        if packages:
            return " ".join(map(_installed, sorted(set(packages))))
    return hash_definition(path, names[0]) if path.suffix == ".py" else None


def _installed(package: str) -> str:
    """Name and version of an installed package, and a hash of the hashes of its Python files, as its installer wrote.

    To parse a package as large as torch takes seconds.
    """
    found = importlib.metadata.distribution(package)
    lines = sorted(line for line in (found.read_text("RECORD") or "").splitlines() if ".py,sha256=" in line)
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"{found.name} {found.version} {digest[:LENGTH]}"
