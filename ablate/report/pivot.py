"""The mean error by two keys of the configuration, such as shortcut and depth."""

from typing import Any

from pandas import DataFrame

from ablate.base.errors import AblateError
from ablate.report import wording
from ablate.report.keys import NOT_OF_A_CELL, check_key, labels, typed
from ablate.report.records import rows_of
from ablate.runs.naming import differing, flatten

CAPTION = "Mean error over seeds ± standard deviation, percent, last epoch."


def pivot(cells: DataFrame, rows: str, columns: str) -> DataFrame:
    """A table of text with one row for each value of `rows` and one column for each value of `columns`.

    Raises AblateError if a cell lacks a key, or if two cells have the same place in the table.
    """
    for key in (rows, columns):
        check_key("--pivot", key)
    found: dict[tuple[str | None, ...], Any] = {}
    for label, cell in zip(labels(cells, rows, columns), rows_of(cells), strict=True):
        place = tuple(label if key == "shortcut" else typed(cell.config, key) for key in (rows, columns))
        if None in place:
            key = (rows, columns)[place.index(None)]
            raise AblateError(f"--pivot: {cell.label} has no key {key!r}; keys are dotted, as in recipe.batch")
        if place in found:
            keys = ", ".join(differing([flatten(one.config) for one in (found[place], cell)], *NOT_OF_A_CELL))
            raise AblateError(
                f"--pivot: two cells have the values {place[0]} and {place[1]}; select one with --where, by {keys}"
            )
        found[place] = cell
    across = _order(at[1] for at in found)
    lines = [[row, *(_text(found.get((row, column))) for column in across)] for row in _order(at[0] for at in found)]
    return DataFrame(lines, columns=[rows, *across])


def _text(cell: Any | None) -> str:
    if cell is None:
        return "not run"
    return wording.error(cell) + ("" if cell.n == cell.seeds else f" ({cell.n} of {cell.seeds})")


def _order(values: Any) -> list[str]:
    """Each value once: numbers by size, words in the order of the rows."""
    unique = list(dict.fromkeys(values))
    try:
        return sorted(unique, key=float)
    except ValueError:
        return unique
