"""Hashes of source code. Comments, docstrings and formatting do not change them; nothing is imported or run.

A definition is hashed together with everything it uses: other definitions of its module, and the modules it imports
that belong to the same project (siblings of a module, or the whole of its package's parts that are imported).
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

LENGTH = 16
IGNORED = ("ctx", "kind", "type_comment", "type_params")
"""Fields of a syntax tree that say nothing, or that only some versions of Python have."""


def hash_file(path: Path) -> str:
    """A hash of a whole file."""
    return _hash([_canonical(_parsed(path.read_bytes()))])


def hash_definition(path: Path, name: str) -> str:
    """A hash of a top-level definition and of all that it uses, transitively.

    Of a name that the module does not visibly define, a hash of the whole module. Raises OSError, SyntaxError or
    ValueError for what cannot be read as Python.
    """
    return _hash(sorted(f"{file.stem}:{one} {text}" for (file, one), text in _closure(path, name).items()))


def files_of(path: Path) -> list[Path]:
    """The files that importing a module reads: its own and those of the same project. Raises as `hash_definition`."""
    found, waiting = [], [path]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.append(file)
            waiting += _local_modules(file, _parsed(file.read_bytes()))
    return found


@functools.cache
def _parsed(content: bytes) -> ast.Module:
    tree = ast.parse(content)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # docstrings, of attributes too
            kept = [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
            node.body = kept  # type: ignore[attr-defined]
    return tree


def _canonical(node: Any) -> str:
    if isinstance(node, ast.AST):
        fields = ((key, value) for key, value in ast.iter_fields(node) if key not in IGNORED)
        inner = (f"{key}={_canonical(value)}" for key, value in fields if value is not None and value != [])
        return f"{type(node).__name__}({','.join(inner)})"
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    return repr(node)


def _hash(texts: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for text in texts:
        whole.update(text.encode(errors="surrogatepass") + b"\n")
    return whole.hexdigest()[:LENGTH]


def _closure(path: Path, name: str) -> dict[tuple[Path, str], str]:
    """The canonical text of every definition that `name` in `path` uses, by file and name."""
    found: dict[tuple[Path, str], str] = {}
    waiting = [(path, one) for one in ([name] if name in _definitions(path) else _definitions(path))]
    while waiting:
        file, one = waiting.pop()
        if (file, one) in found:
            continue
        definitions = _definitions(file)
        nodes = definitions.get(one, [])
        found[file, one] = "".join(map(_canonical, nodes))
        for node in nodes:
            waiting += [(file, used) for used in _names(node) if used in definitions]
            for module in _local_modules(file, node):
                waiting += [(module, each) for each in _definitions(module)]
        waiting.append((file, ""))
    return found


def _definitions(path: Path) -> dict[str, list[ast.stmt]]:
    """Top-level statements by the names they bind; those that bind none, or any (import *), under ''."""
    found: dict[str, list[ast.stmt]] = {}
    for node in _parsed(path.read_bytes()).body:
        for name in _bound(node) or [""]:
            found.setdefault(name, []).append(node)
    return found


def _bound(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names if alias.name != "*"]
    return [name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)]


def _names(node: ast.AST) -> Iterator[str]:
    return (name.id for name in ast.walk(node) if isinstance(name, ast.Name))


def _local_modules(file: Path, node: ast.AST) -> Iterator[Path]:
    """The files that `node` imports from the project that `file` belongs to."""
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            names = [alias.name for alias in one.names]
        elif isinstance(one, ast.ImportFrom):
            base = "." * one.level + (one.module or "")
            names = [base, *(f"{base}{'' if base.endswith('.') else '.'}{alias.name}" for alias in one.names)]
        else:
            continue
        for name in names:
            if (path := _locate(file, name)) and path != file:
                yield path


def _locate(file: Path, name: str) -> Path | None:
    """The file of a module as `file` names it, if it is beside it or in the same package."""
    folder, dots = file.parent, len(name) - len(name.lstrip("."))
    root = folder
    if dots:
        for _ in range(dots - 1):
            root = root.parent
    else:
        while (root / "__init__.py").exists():
            root = root.parent
    path = root.joinpath(*[part for part in name.lstrip(".").split(".") if part])
    for found in (path.with_suffix(".py"), path / "__init__.py"):
        if found.is_file():
            return found
    return None
