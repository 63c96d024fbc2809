"""The main table of a study as text, one row for each cell, and the notes under it."""

import json

from pandas import DataFrame

from ablate.report import stats, wording
from ablate.report.keys import SETTINGS
from ablate.report.records import rows_of
from ablate.report.wording import NONE
from ablate.runs.identity import identity

LAST = "error, last epoch (median)"
INTERVAL = "95 % interval of the mean"
FROM_PUBLISHED = "Δ vs published"
DETAILS = ["seconds", "parameters", "best epoch (optimistic)", "mean ± std", "p (Holm)", FROM_PUBLISHED]
"""Columns that a narrow terminal omits."""


def words(cells: DataFrame) -> DataFrame:
    """The main table as text, without settings that all rows share and columns with nothing to show."""
    rows = rows_of(cells)
    key, value = cells.attrs["key"], cells.attrs["baseline"]
    versus = f"Δ vs {value}" if key == "shortcut" else f"Δ vs {key}={value}"
    images = sorted(set(cells.evaluated_on))
    table = DataFrame(
        {
            "shortcut": cells.label,
            **{setting: cells[setting].astype(str) for setting in SETTINGS if cells[setting].nunique() > 1},
            "evaluated on": cells.evaluated_on if len(images) > 1 else "",
            "n": [str(cell.n) if cell.n == cell.seeds else f"{cell.n} of {cell.seeds}" for cell in rows],
            LAST if len(images) > 1 else f"{images[0]} {LAST}": [wording.error(cell) for cell in rows],
            "verdict": cells.verdict,
            "mean ± std": [wording.mean(cell) for cell in rows],
            INTERVAL: [wording.interval(cell.low, cell.high) for cell in rows],
            versus: [wording.difference(cell) for cell in rows],
            "p (Holm)": cells.p_holm.map(wording.p_value),
            "best epoch (optimistic)": cells.best_epoch.map(wording.number),
            "published": cells.published.map(wording.published),
            FROM_PUBLISHED: (cells["median"] - cells.published.where(cells.same_setting)).map(wording.signed),
            "parameters": cells.parameters.map(wording.whole),
            "seconds": cells.seconds.map(wording.whole),
            "state": cells.state,
        }
    )
    if (cells.common <= 1).all():
        table = table.drop(columns=["verdict", versus])
    return table.loc[:, ~table.isin(["", NONE]).all()]


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
            "'Not separable' does not mean equal. The interval of Δ has 95 % coverage for its row alone, so it can "
            "exclude 0 although the corrected test does not separate the row."
        )
    if len(several := sorted(set(cells.baseline) - {""})) > 1:
        lines.append(f"Rows have different baselines, equal in all other settings: {', '.join(several)}; see the CSV.")
    if len(cells) > 1 and (alone := int((cells.baseline == "").sum())):
        lines.append(
            f"No baseline for {alone} of {len(cells)} rows: no row has {cells.attrs['key']}={cells.attrs['baseline']} "
            "with all other settings equal; --baseline KEY=VALUE chooses another."
        )
    known = cells[cells.published.notna()]
    if len(known):
        sources = "; ".join(sorted(set(known.source)))
        lines.append(f"Published: {sources}. CIFAR-10 test error; 'fail' is above 20 % (He et al. 2016).")
    if not known.same_setting.all():
        lines.append(
            "Not every row has the published setting (its depth, CIFAR-10, 64,000 iterations): compare the order of "
            "the rows, not the values."
        )
    if how := "; ".join(sorted(set(cells.computed) - {""})):
        lines.append(f"Computed on {how}.")
    if cells.mixed.any():
        lines.append("Seeds of one row were computed on different devices, in different precisions or thread counts.")
    if (cells.n <= 1).all():
        lines.append("One seed per row: single runs vary, so small differences mean nothing.")
    if (cells.evaluated_on != "test").any():
        lines.append("Some rows were evaluated on images held out of the training set, not on the test set.")
    return lines


def _shared(cells: DataFrame, key: str) -> str:
    """A setting with the same name in all rows, and whether all that it contains is the same too."""
    contents = {json.dumps(identity(config)[key], sort_keys=True) for config in cells.config}
    return f"{key} {cells[key].iloc[0]}" + (" (except as a row's name says)" if len(contents) > 1 else "")
