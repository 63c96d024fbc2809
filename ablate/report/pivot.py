"""The median error by two keys of the configuration, such as shortcut and depth."""

from typing import Any

from pandas import DataFrame

from ablate.base.errors import AblateError
from ablate.report import wording
from ablate.report.keys import check_key, labels, typed
from ablate.report.records import rows_of

CAPTION = "Median error over seeds, percent, last epoch."


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
            one, other = cell.config, found[place].config
            keys = [key for key in sorted({*one} - {rows, columns, "seed"}) if typed(one, key) != typed(other, key)]
            raise AblateError(
                f"--pivot {rows} {columns}: two cells have the values {place[0]} and {place[1]}; select one with "
                f"--where KEY=VALUE, KEY being one of {', '.join(keys or ['its dotted keys'])}"
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
