"""The faults that are possible in a module: an operator, a constant, a condition or a statement is another one.

Docstrings, annotations and messages are left alone.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

COMPARISONS = {
    **{ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="},
    **{ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is"},
}
OPERATORS = {
    **{ast.Add: "-", ast.Sub: "+", ast.Mult: "/", ast.Div: "*", ast.FloorDiv: "/", ast.Mod: "//", ast.Pow: "*"},
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
MESSAGES = {"say", "warn", "print", "ConfigError", "AblateError", "ValueError", "OSError", "_error"}
"""Whatever is called by these names takes a message."""


@dataclass(frozen=True)
class Fault:
    """One change of the source: bytes `begin` to `end` become `new`."""

    begin: int
    end: int
    place: str
    old: str
    new: str
    number: int = 0

    def __str__(self) -> str:
        again = f" (no. {self.number + 1})" if self.number else ""
        return f"{self.place}: `{self.old}` → `{self.new}`{again}"

    def apply(self, source: bytes) -> bytes:
        return source[: self.begin] + self.new.encode() + source[self.end :]


def faults(source: bytes) -> list[Fault]:
    """Every possible fault, each of which can be told from the others by its str."""
    lengths = [0]
    for line in source.splitlines(keepends=True):
        lengths.append(lengths[-1] + len(line))
    found: list[Fault] = []
    seen: Counter[str] = Counter()
    for node, place, new in _changes(ast.parse(source), "module"):
        begin = lengths[node.lineno - 1] + node.col_offset
        end = lengths[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
        old = source[begin:end].decode()
        if old != new:
            fault = Fault(begin, end, place, " ".join(old.split()), new)
            found.append(replace(fault, number=seen[str(fault)]))
            seen[str(fault)] += 1
    return found


def _changes(node: ast.AST, place: str) -> Iterator[tuple[ast.expr | ast.stmt, str, str]]:
    """Nodes with the name of the function they are in, and the source that takes their place."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        place = node.name if place == "module" else f"{place}.{node.name}"
        yield from ((one, place, "staticmethod") for one in node.decorator_list if "no_grad" in ast.unparse(one))
    if isinstance(node, (ast.expr, ast.stmt)):
        yield from ((node, place, new) for new in _alternatives(node, place))
    if isinstance(node, ast.If) and isinstance(node.test, (ast.Name, ast.Attribute, ast.Call)):
        yield node.test, place, f"not {ast.unparse(node.test)}"
    if isinstance(node, ast.Dict) and all(_is_text(one) for one in (*node.keys, *node.values)):  # keys explained
        yield from (change for key in node.keys if key for change in _changes(key, place))
    elif not _is_message(node):
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and name not in ("annotation", "returns", "decorator_list"):
                    yield from _changes(child, place)


def _is_text(node: ast.AST | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_message(node: ast.AST) -> bool:
    """Whether a fault in this part could only change words, or nothing, or would raise KeyError at once."""
    match node:
        case ast.ClassDef(bases=[ast.Name("Protocol")]):  # an interface: nothing calls it
            return True
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Raise() | ast.Expr(ast.Constant()):
            return True
        case ast.Call():
            return _called(node) in MESSAGES
        case ast.Subscript(_, ast.Constant(value=str())) | ast.keyword("strict" | "name"):
            return True
    return False


def _alternatives(node: ast.expr | ast.stmt, place: str) -> Iterator[str]:
    def instead(**fields: ast.AST) -> str:
        changed = type(node)(**{**dict(ast.iter_fields(node)), **fields})
        return f"({ast.unparse(ast.fix_missing_locations(changed))})"

    match node:
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() as value):
            yield str(value + 1)
        case ast.Constant(value=float() as value):
            yield str(2 * value or 1.0)
        case ast.Constant(value=str() as value) if value:
            yield repr(f"{value}_")
        case ast.Compare(left, [operator], [right]):
            first = f"({ast.unparse(left)})" if isinstance(left, ast.BoolOp) else ast.unparse(left)
            yield f"({first} {COMPARISONS[type(operator)]} {ast.unparse(right)})"
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
            yield f"(({ast.unparse(left)}) {OPERATORS[type(operator)]} ({ast.unparse(right)}))"
        case ast.BoolOp(operator, values):
            yield "(" + (" or " if isinstance(operator, ast.And) else " and ").join(map(ast.unparse, values)) + ")"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield f"({ast.unparse(operand)})"
        case ast.IfExp(_, body, orelse):
            yield instead(body=orelse, orelse=body)
        case ast.Call(ast.Name() | ast.Attribute() as function):
            if other := NAMES.get(_called(node)):
                yield instead(
                    func=ast.Name(other) if isinstance(function, ast.Name) else ast.Attribute(function.value, other)
                )
        case ast.Expr(ast.Call(function)) if _called(node.value) not in MESSAGES | {"__init__"}:
            yield "pass"
        case ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Delete():
            yield "pass"
        case ast.Assign([ast.Attribute()]) if not place.endswith("__init__"):  # there, whatever reads it would raise
            yield "pass"


def _called(call: ast.expr) -> str:
    function = call.func if isinstance(call, ast.Call) else call
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
