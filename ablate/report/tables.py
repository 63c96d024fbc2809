"""The tables of a study, as text that a person reads: data frames of words whose columns are the headings."""

import json
import math
from typing import Any

import pandas

from ablate.base.errors import AblateError
from ablate.report import stats
from ablate.report.aggregate import NOT_OF_A_CELL, SETTINGS, labels, without
from ablate.report.published import LAYOUTS, Layout, Published, is_row, same_setting
from ablate.report.records import every, said
from ablate.runs.identity import identity

NONE = "–"
PIVOT = "Median error over seeds, percent, last epoch."
LAST = "error, last epoch (median)"
BEST = "best epoch (flatters)"
INTERVAL = "95 % interval of the mean"


def words(cells: pandas.DataFrame) -> pandas.DataFrame:
    """The main table, one row a cell: only the settings that differ, only the columns that say something."""
    vary = [key for key in SETTINGS if cells[key].nunique() > 1]
    against = cells.attrs["baseline"]
    mixed = cells.evaluated_on.nunique() > 1
    last = LAST if mixed else f"{cells.evaluated_on.iloc[0]} {LAST}"
    rows = []
    for row in every(cells):
        compared = not row.is_baseline and row.common > 0
        rows.append(
            {
                "shortcut": row.label,
                **{key: str(getattr(row, key)) for key in vary},
                **({"evaluated on": row.evaluated_on} if mixed else {}),
                "n": str(row.n) if row.n == row.seeds else f"{row.n} of {row.seeds}",
                last: error(row),
                "verdict": row.verdict,
                "mean ± std": _mean(row),
                INTERVAL: between(row.low, row.high),
                f"less {against}": _difference(row) if compared else NONE,
                "p (Holm)": _p(row.p_holm),
                BEST: number(row.best_epoch),
                "published": published(row.published),
                "less published": signed(row.median - row.published) if row.same_setting else NONE,
                "parameters": whole(row.parameters),
                "seconds": whole(row.seconds),
                "state": row.state,
            }
        )
    table = pandas.DataFrame(rows)
    if (cells.common <= 1).all():
        table = table.drop(columns=["verdict", f"less {against}"])
    optional = (INTERVAL, "p (Holm)", f"less {against}", "verdict", "published", "less published", "state")
    empty = [key for key in optional if key in table and not table[key].str.strip(NONE).any()]
    return table.drop(columns=empty)


def notes(cells: pandas.DataFrame) -> list[str]:
    """What must stand under the table for its numbers to be read rightly."""
    shared = ", ".join(_shared(cells, key) for key in SETTINGS if cells[key].nunique() == 1)
    lines = [f"Errors in percent. All rows: {shared}." if shared else "Errors in percent."]
    if cells.low.notna().any():
        lines.append(
            f"Interval: Student's t over seeds, from {stats.STUDENT_FROM} seeds; fewer are too few. It holds the mean "
            "95 times in 100 where errors are near normal over seeds; where now and then a run goes badly, 93 times or "
            f"less. The bootstrap's (bootstrap-t, from {stats.BOOTSTRAP_FROM} seeds) stands in the CSV."
        )
    if tested := int(cells.p_holm.notna().sum()):
        lines.append(
            f"Differences and verdicts: paired t-test over common seeds, p corrected for {tested} rows (Holm); "
            "'not separable' says that these seeds do not tell the two apart, not that they are the same. "
            "A difference's interval is at 95 % for its row alone, so it may leave out 0 where the verdict, which "
            "answers for all rows at once, does not tell them apart."
        )
    if len(several := sorted(set(cells.baseline) - {""})) > 1:
        lines.append(
            f"Rows have different baselines, all else being alike: {', '.join(several)}; the CSV has each row's."
        )
    if len(cells) > 1 and (alone := cells[cells.baseline == ""].label.tolist()):
        key, value = cells.attrs["key"], cells.attrs["baseline"]
        which = "No row is" if len(alone) == len(cells) else f"For {len(alone)} of {len(cells)} rows no row is"
        lines.append(
            f"{which} {key}={value} with all else alike: nothing to compare with; --baseline KEY=VALUE names another."
        )
    if cells.published.notna().any():
        sources = " and ".join(sorted(set(cells.source) - {""}))
        lines.append(f"Published: {sources}, CIFAR-10 test error; 'fail' is above 20 % (He et al. 2016).")
        if not cells.same_setting[cells.published.notna()].all():
            lines.append(
                "Not every row was measured in the published setting (its depth, CIFAR-10, 64,000 iterations): "
                "there compare the order of the rows, not the values."
            )
    if how := "; ".join(sorted(set(cells.computed) - {""})):
        lines.append(f"Computed on {how}.")
    if cells.mixed.any():
        lines.append("Seeds of one row were computed on different devices, in different precisions or thread counts.")
    if (cells.n <= 1).all():
        lines.append("One seed a row: single runs swing, so small differences say nothing.")
    if (cells.evaluated_on != "test").any():
        lines.append("Some rows were evaluated on images held out of the training set, not on the test set.")
    return lines


def _shared(cells: pandas.DataFrame, key: str) -> str:
    """A setting that has one name in all rows, and whether it is the same below that name."""
    whole = {json.dumps(identity(config)[key], sort_keys=True) for config in cells.config}
    return f"{key} {cells[key].iloc[0]}" + (" but for what their names say" if len(whole) > 1 else "")


def paper(cells: pandas.DataFrame, layout: Layout) -> tuple[pandas.DataFrame, str] | None:
    """A published table with what was measured beside it, and its caption; None where fewer than two rows were.

    Every row of the paper stands in it, in the paper's order; one that was not run says so, and one that was run in
    two ways stands there twice. Its rows are alike in all that they are not about; of several such sets the one in
    the published setting is taken, then the one of the paper's depth, then the one with most rows. The difference is
    given in the published setting alone.
    """
    any_depth = "depth" not in layout.varies
    sets: dict[str, dict[int, list[Any]]] = {}
    for cell in every(cells):
        for at, row in enumerate(layout.rows):
            if is_row(cell.config, row, any_depth=any_depth):
                sets.setdefault(without(cell.config, *layout.varies), {}).setdefault(at, []).append(cell)
    rank = {
        key: (
            sum(same_setting(cell.config, layout.rows[at]) for at, row in found.items() for cell in row),
            sum(cell.depth == layout.rows[at].depth for at, row in found.items() for cell in row),
            len(found),
        )
        for key, found in sets.items()
        if len(found) > 1
    }
    if not rank:
        return None
    found = sets[max(rank, key=lambda key: rank[key])]
    lines = [(row, cell) for at, row in enumerate(layout.rows) for cell in found.get(at, [None])]
    rows = [
        {
            **dict(zip(layout.headings, row.printed, strict=True)),
            "published": published(row.error),
            "ours (median)": error(cell) if cell else "not run",
            "run as": cell.label if cell else NONE,
            "n": str(cell.n) if cell else NONE,
            INTERVAL: between(cell.low, cell.high) if cell else NONE,
            "less published": _less(cell, row) if cell else NONE,
        }
        for row, cell in lines
    ]
    table = pandas.DataFrame(rows)
    empty = [key for key in (INTERVAL, "less published") if not table[key].str.strip(NONE).any()]
    if all(len(row) == 1 for row in found.values()):
        empty.append("run as")
    return table.drop(columns=empty), f"{layout.title}. Ours: {_setting(next(iter(found.values()))[0], layout)}."


def _less(cell: Any, row: Published) -> str:
    return signed(cell.median - row.error) if same_setting(cell.config, row) else NONE


def _setting(cell: Any, layout: Layout) -> str:
    recipe = cell.config["recipe"]
    length = f"{recipe['iterations']:,} iterations" if recipe["iterations"] else f"{recipe['epochs']} epochs"
    words = [f"data {cell.data}", f"recipe {cell.recipe} of {length}, batch {recipe['batch']}"]
    if "depth" not in layout.varies:
        words.append(f"depth {cell.depth}")
    if cell.evaluated_on != "test":
        words.append(f"evaluated on {cell.evaluated_on} images")
    return ", ".join(words)


def papers(cells: pandas.DataFrame) -> dict[str, tuple[pandas.DataFrame, str]]:
    """The published tables that the study has two rows or more of, by name."""
    return {layout.name: made for layout in LAYOUTS if (made := paper(cells, layout))}


def pivot(cells: pandas.DataFrame, rows: str, columns: str) -> pandas.DataFrame:
    """The median error by two keys of the configuration, say 'shortcut' and 'depth'.

    Raises AblateError where a key is unknown or where two cells would fall on one place of the table.
    """
    for key in (rows, columns):
        if key.split(".")[0] in NOT_OF_A_CELL:
            raise AblateError(
                f"--pivot: {key} is not what tells rows apart: name another key, as shortcut or recipe.batch"
            )
    found: dict[tuple[Any, ...], Any] = {}
    for label, cell in zip(labels(cells, rows, columns), every(cells), strict=True):
        at = tuple(label if key == "shortcut" else said(cell.config, key) for key in (rows, columns))
        for key, value in zip((rows, columns), at, strict=True):
            if value is None:
                raise AblateError(
                    f"--pivot: the cell {cell.label} has no key {key!r}; keys are dotted, as recipe.batch"
                )
        if at in found:
            other = found[at].config
            differ = [
                key
                for key in (*cell.config, "shortcut")
                if key != "seed" and said(cell.config, key) != said(other, key)
            ]
            raise AblateError(
                f"--pivot {rows} {columns}: two cells are {at[0]} and {at[1]}; choose among them with --where KEY=VALUE"
                + (f", KEY being one of {', '.join(sorted(set(differ) - {rows, columns}))}" if differ else "")
            )
        found[at] = cell
    table: dict[str, list[str]] = {rows: _order(at[0] for at in found)}
    for column in _order(at[1] for at in found):
        cells_there = [found.get((row, column)) for row in table[rows]]
        table[column if column != rows else f"{column} "] = [
            "not run"
            if cell is None
            else error(cell) + ("" if cell.n == cell.seeds else f" ({cell.n} of {cell.seeds})")
            for cell in cells_there
        ]
    return pandas.DataFrame(table)


def _order(values: Any) -> list[str]:
    """Each once: numbers by size, words as they come."""
    each = list(dict.fromkeys(values))
    try:
        return sorted(each, key=float)
    except ValueError:
        return each


def error(row: Any) -> str:
    """A cell's headline: its median error, or that there is none and why."""
    if math.isnan(row.median):
        return row.state.split()[0] if row.state else NONE
    if row.outcome == "diverged":
        return "diverged"
    return f"fail ({row.median:.2f})" if row.outcome else f"{row.median:.2f}"


def published(value: float) -> str:
    return NONE if math.isnan(value) else "fail" if value == math.inf else f"{value:.2f}"


def number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else NONE


def whole(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else NONE


def between(low: float, high: float) -> str:
    return NONE if math.isnan(low) else f"[{low:.2f}, {high:.2f}]"


def _mean(row: Any) -> str:
    return number(row.mean) + (f" ± {row.std:.2f}" if math.isfinite(row.std) else "")


def _difference(row: Any) -> str:
    if math.isnan(row.difference):
        return NONE
    within = "" if math.isnan(row.difference_low) else f" [{row.difference_low:+z.2f}, {row.difference_high:+z.2f}]"
    return signed(row.difference) + within


def signed(value: float) -> str:
    return f"{value:+z.2f}" if math.isfinite(value) else NONE


def _p(value: float) -> str:
    return NONE if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3g}"
