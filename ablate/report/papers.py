"""The published tables with our measurements beside them, and how well the order of our rows agrees with theirs."""

import math
from typing import Any

import numpy
from pandas import DataFrame
from scipy.stats import rankdata

from ablate.report import stats, wording
from ablate.report.keys import without
from ablate.report.published import FAIL, ROWS, TABLES, Published, Table, is_row, same_setting
from ablate.report.records import rows_of
from ablate.report.wording import FROM_PUBLISHED, INTERVAL, NONE

RANKED = 4
"""Rows from which the order of a table is compared with the paper's."""
OUT_OF_PLACE = 3
"""Ranks by which a row has to differ to be named."""
Found = dict[int, list[Any]]
"""Our cells by the number of the table's row."""


def papers(cells: DataFrame) -> dict[str, tuple[DataFrame, str]]:
    """The published tables of which the study has at least two rows, by name: with our errors, and with a caption.

    All rows of the paper are in a table, in the paper's order: one that was not run says so, one that was run in two
    ways is there twice. Our cells are equal in all keys in which the paper's rows do not differ. If there are several
    such sets of cells, one is chosen: by its number of cells in the published setting, then at the paper's depth,
    then by its number of rows.
    """
    return {
        table.name: (_paper(table, found), " ".join([f"{table.title}. Ours: {_setting(table, found)}.", *order]))
        for table, found in _sets(cells)
        for order in [_order(table, found)]
    }


def orders(cells: DataFrame) -> list[str]:
    """A sentence for each published table that is of another setting: how the order of our rows agrees with it."""
    return [f"{table.title}. {sentence}" for table, found in _sets(cells) for sentence in _order(table, found)]


def _paper(table: Table, found: Found) -> DataFrame:
    ours = f"ours on {next(iter(found.values()))[0].data}"
    columns = [f"{ours} (median)", f"{ours} (mean)", INTERVAL, "run as", "n", FROM_PUBLISHED]
    rows = [
        [*row.printed, "fail" if row.error == math.inf else wording.number(row.error), *_ours(cell, row, table)]
        for at, row in enumerate(table.rows)
        for cell in found.get(at, [None])
    ]
    frame = DataFrame(rows, columns=[*table.headings, "published", *columns])
    empty = [column for column in frame if (frame[column] == NONE).all()]
    if not _of_medians(table):
        empty.append(columns[0])
    if all(len(cells) == 1 for cells in found.values()):
        empty.append("run as")
    return frame.drop(columns=empty)


def _sets(cells: DataFrame) -> list[tuple[Table, Found]]:
    return [(table, found) for table in TABLES if (found := _best_set(cells, table))]


def _best_set(cells: DataFrame, table: Table) -> Found | None:
    sets: dict[str, Found] = {}
    for cell in rows_of(cells):
        for at, row in enumerate(table.rows):
            if (
                is_row(cell.config, row)
                and row.data in _beside(cell)
                and ("depth" not in table.varies or cell.depth == row.depth)
            ):
                sets.setdefault(without(cell.config, *table.varies), {}).setdefault(at, []).append(cell)

    def rank(found: Found) -> tuple[int, int, int]:
        pairs = [(cell, table.rows[at]) for at, row in found.items() for cell in row]
        published = sum(same_setting(cell.config, row) for cell, row in pairs)
        return published, sum(cell.depth == row.depth for cell, row in pairs), len(found)

    return max((found for found in sets.values() if len(found) > 1), key=rank, default=None)


def _beside(cell: Any) -> set[str]:
    """The datasets whose published errors stand beside a cell: its own, if its network was published on that."""
    own = {row.data for row in ROWS if row.data == cell.data and is_row(cell.config, row) and row.depth == cell.depth}
    return own or {"cifar10", "imagenet"}


def _of_medians(table: Table) -> bool:
    return all(row.statistic == "median" for row in table.rows)


def _ours(cell: Any | None, row: Published, table: Table) -> list[str]:
    if cell is None:
        return ["not run", "not run", NONE, NONE, NONE, NONE]
    median = "diverged" if cell.median == math.inf else wording.number(cell.median)
    printed = any(row.error == math.inf for row in table.rows)
    if cell.median > FAIL and cell.data == row.data and printed and not cell.stopped:
        median = f"fail ({median})"  # a word of [B] Table 1, for CIFAR-10
    difference = row.difference(cell.mean, cell.median) if _comparable(cell, row) else math.nan
    interval = wording.interval(cell.low, cell.high)
    return [median, wording.error(cell), interval, cell.label, str(cell.n), wording.signed(difference)]


def _comparable(cell: Any, row: Published) -> bool:
    """Whether a cell's error can stand against the paper's: in its setting, and no run was stopped before its end."""
    return same_setting(cell.config, row) and not cell.stopped


def _setting(table: Table, found: Found) -> str:
    cell = next(iter(found.values()))[0]
    recipe = cell.config["recipe"]
    length = f"{recipe['iterations']:,} iterations" if recipe["iterations"] else f"{recipe['epochs']} epochs"
    depth = "" if "depth" in table.varies else f", depth {cell.depth}"
    images = "" if cell.evaluated_on == "test" else f", evaluated on {cell.evaluated_on} images"
    return f"data {cell.data}, recipe {cell.recipe} of {length}, batch {recipe['batch']}{depth}{images}"


def _order(table: Table, found: Found) -> list[str]:
    """Spearman's rank correlation of our rows with the paper's and the rows out of place, as one sentence.

    Rows whose runs are all at chance at the end share the last rank, as those that fail in the paper do: among them the
    order is noise. None in the published setting, where the values can be compared, or with fewer than RANKED rows.
    """
    pairs = [(table.rows[at], cell) for at, cells in found.items() for cell in cells if cell.n]
    if len(pairs) < RANKED or all(_comparable(cell, row) for row, cell in pairs):
        return []
    failed = [(cell.diverged > 0 and not _of_medians(table)) or cell.at_chance == cell.n for _, cell in pairs]
    errors = [cell.median if _of_medians(table) else cell.mean for _, cell in pairs]
    ours = [math.inf if fails else error for fails, error in zip(failed, errors, strict=True)]
    theirs = [row.error for row, _ in pairs]
    rho, low, high = stats.rank_correlation(numpy.array(ours), numpy.array(theirs))
    if math.isnan(rho):  # all fail
        return []
    moved = abs(rankdata(ours) - rankdata(theirs)) >= OUT_OF_PLACE
    depth = ", depth {}" if "depth" in table.varies else ""
    names = [cell.label + depth.format(cell.depth) for (_, cell), far in zip(pairs, moved, strict=True) if far]
    return [
        f"Order of the {len(pairs)} rows, ours and published: Spearman's rank correlation {rho:.2f}, 95 % interval "
        f"{wording.interval(low, high)}; out of place by {OUT_OF_PLACE} ranks or more: {'; '.join(names) or 'none'}."
    ]
