"""The main table of a study as text, one row for each cell, and the notes under it."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from pandas import DataFrame

from ablate.report import stats, wording
from ablate.report.keys import SETTINGS
from ablate.report.records import rows_of
from ablate.report.wording import NONE
from ablate.runs.identity import identity

LAST = "error, last epoch (median)"
BEST = "best epoch (optimistic)"
INTERVAL = "95 % interval of the mean"
FROM_PUBLISHED = "Δ vs published"


@dataclass(frozen=True)
class Column:
    """A column: its heading, the text of a row, the number that the row sorts by if it is not the text, and whether
    the column is left out if no row has a text."""

    heading: str
    text: Callable[[Any], str]
    key: Callable[[Any], float] | None = None
    optional: bool = False


def columns(cells: DataFrame) -> list[Column]:
    """The columns of the main table: only settings that differ, and optional ones that have something to show."""
    mixed, deep = cells.evaluated_on.nunique() > 1, cells.depth.nunique() > 1
    last = LAST if mixed else f"{cells.evaluated_on.iloc[0]} {LAST}"
    found = [
        Column("shortcut", lambda cell: cell.label),
        *(Column(key, attrgetter(key)) for key in ("data", "recipe", "unit") if cells[key].nunique() > 1),
        Column("depth", lambda cell: str(cell.depth) if deep else "", optional=True),
        Column("evaluated on", lambda cell: cell.evaluated_on if mixed else "", optional=True),
        Column("n", lambda cell: str(cell.n) if cell.n == cell.seeds else f"{cell.n} of {cell.seeds}", lambda c: c.n),
        Column(last, wording.error, lambda cell: cell.median),
        Column("verdict", lambda cell: cell.verdict, optional=True),
        Column("mean ± std", wording.mean, lambda cell: cell.mean),
        Column(INTERVAL, lambda cell: wording.interval(cell.low, cell.high), lambda cell: cell.low, optional=True),
        Column(_from_baseline(cells), wording.difference, lambda cell: cell.difference, optional=True),
        Column("p (Holm)", lambda cell: wording.p_value(cell.p_holm), lambda cell: cell.p_holm, optional=True),
        Column(BEST, lambda cell: wording.number(cell.best_epoch), lambda cell: cell.best_epoch),
        Column("published", lambda c: wording.published(c.published), lambda cell: cell.published, optional=True),
        Column(FROM_PUBLISHED, lambda cell: wording.signed(from_published(cell)), from_published, optional=True),
        Column("parameters", lambda cell: wording.whole(cell.parameters), lambda cell: cell.parameters),
        Column("seconds", lambda cell: wording.whole(cell.seconds), lambda cell: cell.seconds),
        Column("state", lambda cell: cell.state, optional=True),
    ]
    if (cells.common <= 1).all():
        found = [column for column in found if column.heading not in ("verdict", _from_baseline(cells))]
    rows = rows_of(cells)
    return [col for col in found if not col.optional or any(col.text(row) not in ("", NONE) for row in rows)]


def words(cells: DataFrame) -> DataFrame:
    """The main table as text; its columns are the headings."""
    found = columns(cells)
    rows = [[column.text(cell) for column in found] for cell in rows_of(cells)]
    return DataFrame(rows, columns=[column.heading for column in found])


def _from_baseline(cells: DataFrame) -> str:
    key, value = cells.attrs["key"], cells.attrs["baseline"]
    return f"Δ vs {value}" if key == "shortcut" else f"Δ vs {key}={value}"


def from_published(cell: Any) -> float:
    """The median minus the published error; NaN in another setting than the published one, or if either failed."""
    difference = cell.median - cell.published if cell.same_setting else math.nan
    return difference if math.isfinite(difference) else math.nan


def notes(cells: DataFrame) -> list[str]:
    """What a reader has to know to read the table correctly."""
    shared = ", ".join(_shared(cells, key) for key in SETTINGS if cells[key].nunique() == 1)
    lines = [f"Errors in percent. All rows: {shared}." if shared else "Errors in percent."]
    if cells.low.notna().any():
        lines.append(
            f"Interval of the mean: Student's t over seeds, from {stats.STUDENT_FROM} seeds. Its coverage is 95 % if "
            "errors are nearly normal over seeds, and 93 % or less if they are skewed, as when some runs go badly."
        )
    if tested := int(cells.p_holm.notna().sum()):
        lines.append(
            f"Verdict and Δ: paired t-test over common seeds, p corrected for {tested} row{'s' * (tested > 1)} (Holm). "
            "'Not separable' means that these seeds do not separate the row from its baseline, not that the two are "
            "equal. The interval of Δ has 95 % coverage for its row alone, so it can exclude 0 although the corrected "
            "test does not separate the row."
        )
    return [*lines, *_baseline_notes(cells), *_published_notes(cells), *_run_notes(cells)]


def _shared(cells: DataFrame, key: str) -> str:
    """A setting with the same name in all rows, and whether all that it contains is the same too."""
    contents = {json.dumps(identity(config)[key], sort_keys=True) for config in cells.config}
    return f"{key} {cells[key].iloc[0]}" + (" (except as a row's name says)" if len(contents) > 1 else "")


def _baseline_notes(cells: DataFrame) -> list[str]:
    lines = []
    if len(several := sorted(set(cells.baseline) - {""})) > 1:
        lines.append(
            f"Rows have different baselines, with all other settings equal: {', '.join(several)}; see the CSV."
        )
    if len(cells) > 1 and (alone := int((cells.baseline == "").sum())):
        which = "any row" if alone == len(cells) else f"{alone} of {len(cells)} rows"
        lines.append(
            f"No baseline for {which}: no row has {cells.attrs['key']}={cells.attrs['baseline']} with all other "
            "settings equal; --baseline KEY=VALUE chooses another."
        )
    return lines


def _published_notes(cells: DataFrame) -> list[str]:
    if not cells.published.notna().any():
        return []
    sources = "; ".join(sorted(set(cells.source) - {""}))
    lines = [f"Published: {sources}. CIFAR-10 test error; 'fail' is above 20 % (He et al. 2016)."]
    if not cells.same_setting[cells.published.notna()].all():
        lines.append(
            "Not every row has the published setting (its depth, CIFAR-10, 64,000 iterations): compare the order of "
            "the rows, not the values."
        )
    return lines


def _run_notes(cells: DataFrame) -> list[str]:
    lines = []
    if how := "; ".join(sorted(set(cells.computed) - {""})):
        lines.append(f"Computed on {how}.")
    if cells.mixed.any():
        lines.append("Seeds of one row were computed on different devices, in different precisions or thread counts.")
    if (cells.n <= 1).all():
        lines.append("One seed per row: single runs vary, so small differences mean nothing.")
    if (cells.evaluated_on != "test").any():
        lines.append("Some rows were evaluated on images held out of the training set, not on the test set.")
    return lines
