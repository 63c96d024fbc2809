"""The equation of a shortcut: how its docstring begins, read from its source without importing it."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ablate.runs import layout

EQUATION = re.compile(r"y = .+?(?=[:,.;]\s|[:,.;]?$)")
PACKAGE = Path(__file__).resolve().parents[1]


def equation(config: dict[str, Any], folders: Iterable[Path]) -> str:
    """'y = x + F(x)', or nothing if the docstring begins with no equation. Of custom code, the copy in one of the runs'
    `folders` is read.
    """
    target = str(config["shortcut"].get("_target_", ""))
    shipped = target.startswith(f"{PACKAGE.name}.")
    *parts, name = target.split(".")
    if not all(part.isidentifier() for part in parts):
        return ""
    for root in [PACKAGE.parent] if shipped else [folder / layout.SOURCE for folder in folders]:
        file = root.joinpath(*parts).with_suffix(".py")
        try:
            found = [node for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.ClassDef)]
        except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in found:
            line = (ast.get_docstring(node) or "").partition("\n")[0]
            if node.name == name and (match := EQUATION.match(line)):
                return match[0]
    return ""
