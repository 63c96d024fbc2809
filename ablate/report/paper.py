"""Tables for a paper: LaTeX floats of the width of a column or of a page, at their natural size."""

import re
from collections.abc import Sequence

from pandas import DataFrame

from ablate.report import formats, tables
from ablate.report.keys import SETTINGS
from ablate.report.wording import FROM_PUBLISHED, INTERVAL

WIDTHS = {"column": 3.05, "page": 6.25}
"""Inches that the usual classes of two columns have room for: article on A4, IEEEtran, those of CVPR and ICML."""
WIDE = 4.5
"""Inches from which a table is across both columns."""
POINTS = 72.27
"""In an inch."""
IMPORTANCE = ("error", "published", "difference", "p", "n", "verdict", "interval", "best", "from_published", "state")
"""Columns of the main table, the first ones first, as far as there is room."""
INTERVALS, VERDICTS = ("interval", "difference"), ("p", "verdict", "difference")
"""Columns that a note explains."""
LATER = (INTERVAL, "n", "run as", FROM_PUBLISHED)
"""Columns of a published table that come last."""
SHORT = {
    tables.LAST: "error",
    f"test {tables.LAST}": "test error",
    f"validation {tables.LAST}": "validation error",
    tables.COLUMNS["best"]: "best epoch",
    INTERVAL: "95 % interval",
    tables.COLUMNS["p"]: "p",
    tables.COLUMNS["n"]: "seeds",
}
"""Headings that are shorter than the main table's."""


def main_table(cells: DataFrame, *, columns: Sequence[str], width: float, name: str) -> tuple[str, float]:
    """The main table as LaTeX and its width in inches; with `columns` of `tables.COLUMNS`, or with those that fit."""
    table, named = tables.words(cells, columns), tables.headings(cells)
    # The caption says how many seeds there are, if all rows have the same. Otherwise no row looks complete that is not.
    order = [named[key] for key in IMPORTANCE if key != "n"]
    if not tables.same_seeds(cells):
        order[1:1] = [named["n"], named["state"]]
    shown = table if columns else _fitting(table, order, width)
    verdicts, intervals = ({named[key] for key in keys} & {*shown.columns} for keys in (VERDICTS, INTERVALS))
    notes = tables.statistics(cells, intervals=bool(intervals), verdicts=bool(verdicts))
    if tables.COLUMNS["published"] in shown and cells.published.notna().any():
        notes.append(tables.published(cells))
    return _written(shown, tables.heading(cells), notes, name, width)


def published_table(table: DataFrame, caption: str, *, width: float, name: str) -> tuple[str, float]:
    """One of `papers.papers` as LaTeX, with the columns that fit, and its width in inches."""
    title, _, setting = caption.partition(" Ours: ")
    source = title.split()[0]  # [A] or [B]
    table = table.rename(columns={"published": source})
    ours = [source, *(heading for heading in table.columns if heading.startswith("ours"))]
    theirs = [heading for heading in table.columns if heading not in (*ours, *LATER)]
    shown = _fitting(table, [*_distinguishing(table[theirs]), *ours, *theirs, *LATER], width)
    return _written(shown, title, [f"Ours: {setting}"], name, width)


def plain_table(table: DataFrame, caption: str, *, width: float, name: str) -> tuple[str, float]:
    """Another table as LaTeX, with all of its columns, and its width in inches."""
    return _written(table, caption, [], name, width)


def _fitting(table: DataFrame, order: Sequence[str], width: float) -> DataFrame:
    """The rows' names and settings and the first column in `order`, and those others that fit, the first ones first."""
    kept = {name for at, name in enumerate(table.columns) if at == 0 or name in (*SETTINGS, "evaluated on", order[0])}
    for name in order:
        wider = table[[one for one in table.columns if one in kept or one == name]]
        if _width(wider) <= width:
            kept |= {*wider.columns}
    return table[[name for name in table.columns if name in kept]]


def _distinguishing(table: DataFrame) -> list[str]:
    """Columns that make rows of the same name differ: as few as are enough, those with most values first."""
    name, *others = table.columns
    others.sort(key=lambda heading: -table[heading].nunique())
    enough = (count for count in range(len(others)) if not table[[name, *others[:count]]].duplicated().any())
    return others[: next(enough, len(others))]


def _written(table: DataFrame, caption: str, notes: Sequence[str], name: str, width: float) -> tuple[str, float]:
    latex = formats.latex(_short(table), caption=caption, notes=notes, label=name, wide=width >= WIDE)
    return latex, _width(table)


def _width(table: DataFrame) -> float:
    return formats.points(_short(table)) / POINTS


def _short(table: DataFrame) -> DataFrame:
    return table.rename(
        columns={name: re.sub(r"^ours on \S+", "ours", SHORT.get(name, name)) for name in map(str, table.columns)}
    )
