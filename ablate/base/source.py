"""Custom classes named by `_target_`: finding them, and hashing their source without importing it."""

import ast
import functools
import hashlib
import importlib
import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

LENGTH = 16


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


def digest(module: ModuleSpec) -> str | None:
    """A hash of the sources that decide what `module` computes, or None if it has no source.

    These are all files of its package, or, without a package, the module and what it imports from its own folder.
    """
    if not module.origin or not module.origin.endswith(".py"):
        return None
    file, (top, *inner) = Path(module.origin), module.name.split(".")
    package = importlib.util.find_spec(top)
    folders = package.submodule_search_locations if package else None
    if top == __name__.partition(".")[0] or not folders:  # of this package, one module
        return _hash({path.name: path for path in (_with_siblings(file) if not inner else [file])})
    return _hash(
        {
            f"{number}/{path.relative_to(folder).as_posix()}": path
            for number, folder in enumerate(folders)
            for path in Path(folder).rglob("*.py")
        }
    )


def _hash(files: dict[str, Path]) -> str:
    if len(files) == 1:
        return hashlib.sha256(next(iter(files.values())).read_bytes()).hexdigest()[:LENGTH]
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        whole.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:LENGTH]


def _with_siblings(file: Path) -> list[Path]:
    """`file` and the modules that it imports from its own folder, directly or not."""
    found, waiting = {file}, [file]
    while waiting:
        for name in _imports(waiting.pop()):
            sibling = file.parent / f"{name}.py"
            if sibling not in found and sibling.is_file():
                found.add(sibling)
                waiting.append(sibling)
    return sorted(found)


def _imports(file: Path) -> set[str]:
    """The top-level names of the modules that `file` imports, in functions too."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # importing it will report the error
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = [node.module] if node.module else [alias.name for alias in node.names]
            names |= {name.partition(".")[0] for name in whole}
    return names
