"""The figures of a study. Each function returns a Drawing, or None if the records have nothing to show in it.

Errors are in percent. Each colour has a marker or a dash, so that figures can be printed in black and white.
"""

import functools
from collections.abc import Iterator
from typing import Any

from pandas import DataFrame

from ablate.report.aggregate import ENDED
from ablate.report.curves import band
from ablate.report.figures.against import against, swept
from ablate.report.figures.drawing import Drawing
from ablate.report.figures.learning import learning_curves
from ablate.report.figures.shortcuts import by_shortcut
from ablate.report.keys import labels
from ablate.report.records import rows_of

PATTERNS = ("shortcuts", "against-*", "curves-??")


def draw(cells: DataFrame, runs: DataFrame, curves: DataFrame) -> Iterator[tuple[str, Drawing]]:
    """Every figure for which there is something to show, with the name of its file, one after another."""
    cells = cells.assign(name=labels(cells, settings=True))
    if drawing := by_shortcut(cells, runs):
        yield "shortcuts", drawing
    for key in swept(cells):
        if drawing := against(cells, key):
            yield f"against-{key}", drawing
    folders = runs[runs.state.isin(ENDED)].groupby("cell").folder.apply(list).to_dict()
    band_of = functools.cache(lambda cell: band(curves, folders.get(cell, [])))
    number = 0
    for cell, base in comparisons(cells):
        ours, theirs = band_of(cell.cell), band_of(base.cell)
        if len(ours) > 1 and len(theirs) > 1:
            number += 1
            yield f"curves-{number:02}", learning_curves(cell, ours, base, theirs)


def comparisons(cells: DataFrame) -> Iterator[tuple[Any, Any]]:
    """Each cell with its baseline."""
    by_hash = {cell.cell: cell for cell in rows_of(cells)}
    for cell in by_hash.values():
        if cell.baseline_cell and not cell.is_baseline:
            yield cell, by_hash[cell.baseline_cell]
