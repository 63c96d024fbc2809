"""Code of the user's own, named by `_target_`: where it is and what it says, looked at without being run."""

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
    """The module in MODULE.CLASS or MODULE.CLASS.INNER, and the names that follow it.

    Raises ImportError where there is no such module, and whatever a package's own __init__ raises.
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
    if module.origin is None and rest:  # a folder without __init__ has no names of its own
        raise ModuleNotFoundError(f"there is no module {rest[0]!r} in {module.name}")
    return module, rest


def load(target: str) -> Any:
    """What `target` names, its module imported. Raises ImportError or AttributeError where there is no such."""
    module, names = find(target)
    return functools.reduce(getattr, names, importlib.import_module(module.name))


def digest(module: ModuleSpec) -> str | None:
    """A hash of what decides how `module` behaves, or None where it has no source.

    In a package that is the whole package; a module by itself, and the modules beside it that it imports.
    """
    if not module.origin or not module.origin.endswith(".py"):
        return None
    file, (top, *inner) = Path(module.origin), module.name.split(".")
    package = importlib.util.find_spec(top)
    folders = package.submodule_search_locations if package else None
    if top == __package__ or not folders:  # this package's own version is in the record
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
    """`file` and what it imports from its own folder, and what those import from there."""
    found, waiting = {file}, [file]
    while waiting:
        for name in _imports(waiting.pop()):
            sibling = file.parent / f"{name}.py"
            if sibling not in found and sibling.is_file():
                found.add(sibling)
                waiting.append(sibling)
    return sorted(found)


def _imports(file: Path) -> set[str]:
    """The first names of all that `file` imports, in functions too."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return set()  # its import will say so
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            whole = [node.module] if node.module else [alias.name for alias in node.names]
            names |= {name.partition(".")[0] for name in whole}
    return names
