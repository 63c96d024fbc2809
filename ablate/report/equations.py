"""The equation of a shortcut: how its docstring begins, read from its source without importing it."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ablate.runs import layout

END = re.compile(r"[:,.;](\s|$)|\s\(\[|$")
"""Where an equation may end, outside of brackets."""
LONGEST = 120
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
            if node.name == name:
                return _first(" ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split()))
    return ""


def _first(text: str) -> str:
    """The equation that a text begins with, up to the first mark that is in no bracket."""
    for match in END.finditer(text if text.startswith("y = ") else ""):
        found = text[: match.start()]
        if found.count("(") == found.count(")"):
            return found if len(found) <= LONGEST else ""
    return ""
