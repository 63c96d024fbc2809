"""The published tables with our measurements beside them."""

import math
from typing import Any

from pandas import DataFrame

from ablate.report import wording
from ablate.report.keys import without
from ablate.report.published import TABLES, Published, Table, is_row, same_setting
from ablate.report.records import rows_of
from ablate.report.tables import FROM_PUBLISHED, INTERVAL
from ablate.report.wording import NONE

OURS = "ours (median)"


def papers(cells: DataFrame) -> dict[str, tuple[DataFrame, str]]:
    """The published tables of which the study has at least two rows, by name: with our errors, and with a caption.

    All rows of the paper are in a table, in the paper's order: one that was not run says so, one that was run in two
    ways is there twice. Our cells are equal in all keys in which the paper's rows do not differ. If there are several
    such sets of cells, one is chosen: by its number of cells in the published setting, then at the paper's depth,
    then by its number of rows.
    """
    return {table.name: _paper(table, found) for table in TABLES if (found := _best_set(cells, table))}


def _paper(table: Table, found: dict[int, list[Any]]) -> tuple[DataFrame, str]:
    rows = [
        [*row.printed, wording.published(row.error), *_ours(cell, row)]
        for at, row in enumerate(table.rows)
        for cell in found.get(at, [None])
    ]
    frame = DataFrame(rows, columns=[*table.headings, "published", OURS, "run as", "n", INTERVAL, FROM_PUBLISHED])
    empty = [column for column in frame if (frame[column] == NONE).all()]
    if all(len(cells) == 1 for cells in found.values()):
        empty.append("run as")
    return frame.drop(columns=empty), f"{table.title}. Ours: {_setting(next(iter(found.values()))[0], table)}."


def _best_set(cells: DataFrame, table: Table) -> dict[int, list[Any]] | None:
    """Our cells by the number of the table's row."""
    sets: dict[str, dict[int, list[Any]]] = {}
    for cell in rows_of(cells):
        for at, row in enumerate(table.rows):
            if is_row(cell.config, row) and ("depth" not in table.varies or cell.depth == row.depth):
                sets.setdefault(without(cell.config, *table.varies), {}).setdefault(at, []).append(cell)

    def rank(found: dict[int, list[Any]]) -> tuple[int, int, int]:
        pairs = [(cell, table.rows[at]) for at, row in found.items() for cell in row]
        published = sum(same_setting(cell.config, row) for cell, row in pairs)
        return published, sum(cell.depth == row.depth for cell, row in pairs), len(found)

    return max((found for found in sets.values() if len(found) > 1), key=rank, default=None)


def _ours(cell: Any | None, row: Published) -> list[str]:
    if cell is None:
        return ["not run", NONE, NONE, NONE, NONE]
    difference = cell.median - row.error if same_setting(cell.config, row) else math.nan
    interval = wording.interval(cell.low, cell.high)
    return [wording.error(cell), cell.label, str(cell.n), interval, wording.signed(difference)]


def _setting(cell: Any, table: Table) -> str:
    recipe = cell.config["recipe"]
    length = f"{recipe['iterations']:,} iterations" if recipe["iterations"] else f"{recipe['epochs']} epochs"
    depth = "" if "depth" in table.varies else f", depth {cell.depth}"
    images = "" if cell.evaluated_on == "test" else f", evaluated on {cell.evaluated_on} images"
    return f"data {cell.data}, recipe {cell.recipe} of {length}, batch {recipe['batch']}{depth}{images}"
