"""The figures of a study. Each function returns a Drawing, or None if the records have nothing to show in it.

Errors are in percent. Each colour has a marker or a dash, so that figures can be printed in black and white.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from pandas import DataFrame

from ablate.report import signals
from ablate.report.curves import band, probes
from ablate.report.figures import bubbles
from ablate.report.figures.against import against, swept
from ablate.report.figures.drawing import Drawing
from ablate.report.figures.learning import learning_curves
from ablate.report.figures.measured import probe
from ablate.report.figures.shortcuts import by_shortcut
from ablate.report.figures.units import gains, units
from ablate.report.keys import labels
from ablate.report.records import rows_of
from ablate.runs.record import DONE, ERRORS

PATTERNS = ("shortcuts", "networks", "against-*", "probe-*", "units-*", "gains", "tuning*", "curves-??-*")


def draw(
    cells: DataFrame, runs: DataFrame, curves: DataFrame, *, width: float | None = None
) -> Iterator[tuple[str, Drawing]]:
    """Every figure for which there is something to show, with the name of its file, one after another.

    `width`: that of a paper's column or page in inches, instead of the sizes for the page of the report.
    """
    seen: Counter[str] = Counter()
    for name, drawing in _draw(cells, runs, curves, width):
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}-{seen[name]}", drawing


def _draw(cells: DataFrame, runs: DataFrame, curves: DataFrame, width: float | None) -> Iterator[tuple[str, Drawing]]:
    cells = cells.assign(name=labels(cells, settings=True))
    if drawing := by_shortcut(cells, runs, width=width):
        yield "shortcuts", drawing
    if cells.net.nunique() > 1 and (drawing := bubbles.measured(cells, width=width)):
        yield "networks", drawing
    for key in swept(cells):
        if drawing := against(cells, key, width=width):
            yield f"against-{slug(key)}", drawing
    folders = runs[runs.state.isin(DONE)].groupby("cell").folder.apply(list).to_dict()
    band_of = functools.cache(lambda cell, keys=ERRORS: band(curves, folders.get(cell, []), keys))
    for name in probes(curves):
        measured = [(cell, band_of(cell.cell, (name,)).dropna()) for cell in rows_of(cells)]
        if rows := [(cell, frame) for cell, frame in measured if len(frame) > 1]:
            yield f"probe-{slug(name)}", probe(name, rows, width=width)
    paths = runs[runs.state.isin(DONE)].groupby("cell").path.apply(list).to_dict()
    for key in signals.KEYS:
        found = [(cell, signals.mean(paths.get(cell.cell, []), key)) for cell in rows_of(cells)]
        if maps := [(cell, one) for cell, one in found if one]:
            yield f"units-{key}", units(key, maps, width=width)
        if key == "path" and maps:
            theory = [signals.mean(paths[cell.cell], "theory") for cell, _ in maps]
            yield "gains", gains([(*one, said) for one, said in zip(maps, theory, strict=True)], width=width)
    number = 0
    for pair in comparisons(cells):
        rows = [(cell, frame) for cell in pair for frame in [band_of(cell.cell)] if len(frame) > 1]
        if rows and rows[-1][0] is pair[-1]:
            number += 1
            yield f"curves-{number:02}-{slug(pair[-1].name)}", learning_curves(rows, width=width)


def slug(name: str) -> str:
    """A name as a part of a file's name that LaTeX and a shell take as it is. Several names may have the same."""
    name = name.replace(".", "_").replace(" = ", "=").replace("−", "-")
    return re.sub(r"[^A-Za-z0-9_=+-]+", "-", name).strip("-")[:60]


def comparisons(cells: DataFrame) -> Iterator[list[Any]]:
    """Each cell after its baseline; alone, if it has none and is none."""
    by_hash = {cell.cell: cell for cell in rows_of(cells)}
    compared = {cell.baseline_cell for cell in by_hash.values() if not cell.is_baseline}
    for cell in by_hash.values():
        if not cell.is_baseline and cell.baseline_cell:
            yield [by_hash[cell.baseline_cell], cell]
        elif cell.cell not in compared:
            yield [cell]
