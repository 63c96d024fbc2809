"""The tables of a study, as text that a person reads: data frames of words whose columns are the headings."""

import math
from typing import Any

import pandas

from ablate.errors import AblateError
from ablate.report import stats
from ablate.report.aggregate import SETTINGS
from ablate.report.published import LAYOUTS, Layout, is_row, same_setting
from ablate.report.records import every, said

NONE = "–"
LAST = "error, last epoch (median)"
BEST = "best epoch (flatters)"
INTERVAL = "95 % interval of the mean"


def words(cells: pandas.DataFrame) -> pandas.DataFrame:
    """The main table, one row a cell: only the settings that differ, only the columns that say something."""
    vary = [key for key in SETTINGS if cells[key].nunique() > 1]
    against = cells.attrs["baseline"]
    evaluated = "test" if (cells.evaluated_on == "test").all() else "validation"
    rows = []
    for row in every(cells):
        compared = not row.is_baseline and row.common > 0
        rows.append(
            {
                "shortcut": row.label,
                **{key: str(getattr(row, key)) for key in vary},
                "n": str(row.n) if row.n == row.seeds else f"{row.n} of {row.seeds}",
                f"{evaluated} {LAST}": error(row),
                "verdict": row.verdict,
                "mean ± std": _mean(row),
                INTERVAL: between(row.low, row.high),
                f"less {against}": _difference(row) if compared else NONE,
                "p (Holm)": _p(row.p_holm),
                BEST: number(row.best_epoch),
                "published": published(row.published),
                "less published": _signed(row.median - row.published) if row.same_setting else NONE,
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
    first = cells.iloc[0]
    shared = ", ".join(f"{key} {first[key]}" for key in SETTINGS if cells[key].nunique() == 1)
    lines = [f"Errors in percent. All rows: {shared}." if shared else "Errors in percent."]
    if cells.low.notna().any():
        lines.append(
            f"Interval: Student's t over seeds, from {stats.STUDENT_FROM} seeds; fewer are too few. The bootstrap's "
            f"(bootstrap-t, from {stats.BOOTSTRAP_FROM} seeds) stands in the CSV."
        )
    if tested := int(cells.p_holm.notna().sum()):
        lines.append(
            f"Differences and verdicts: paired t-test over common seeds, p corrected for {tested} rows (Holm); "
            "'not separable' says that these seeds do not tell the two apart, not that they are the same."
        )
    if cells.published.notna().any():
        sources = " and ".join(sorted(set(cells.source) - {""}))
        lines.append(f"Published: {sources}, CIFAR-10 test error; 'fail' is above 20 % (He et al. 2016).")
        if not cells.same_setting[cells.published.notna()].all():
            lines.append(
                "Not every row was measured in the published setting (110 layers, CIFAR-10, 64,000 iterations): "
                "there compare the order of the rows, not the values."
            )
    if how := "; ".join(sorted(set(cells.computed) - {""})):
        lines.append(f"Computed on {how}.")
    if cells.mixed.any():
        lines.append("Seeds of one row were computed on different devices, in different precisions or thread counts.")
    if (cells.n <= 1).all():
        lines.append("One seed a row: single runs swing, so small differences say nothing.")
    if (cells.evaluated_on != "test").any():
        lines.append("Some rows were evaluated on pictures held out of the training set, not on the test set.")
    return lines


def paper(cells: pandas.DataFrame, layout: Layout) -> tuple[pandas.DataFrame, str] | None:
    """A published table with what was measured beside it, and its caption; None where fewer than two rows were.

    Every row of the paper stands in it, in the paper's order; one that was not run says so. Where several settings
    were run, the one with most of the rows is taken. The difference is given in the published setting alone.
    """
    depths = len({row.depth for row in layout.rows}) > 1
    matched: dict[tuple[str, ...], dict[int, Any]] = {}
    for cell in every(cells):
        shared = tuple(str(said(cell.config, key)) for key in ("data", "recipe", *(() if depths else ("depth",))))
        for at, row in enumerate(layout.rows):
            if is_row(cell.config, row, any_depth=not depths):
                matched.setdefault(shared, {}).setdefault(at, cell)
    if not matched:
        return None
    setting, found = max(matched.items(), key=lambda item: len(item[1]))
    if len(found) < 2:
        return None
    rows = []
    for at, row in enumerate(layout.rows):
        cell = found.get(at)
        alike = cell is not None and same_setting(cell.config, row)
        rows.append(
            {
                **dict(zip(layout.headings, row.printed, strict=True)),
                "published": published(row.error),
                "ours (median)": error(cell) if cell else "not run",
                "n": str(cell.n) if cell else NONE,
                INTERVAL: between(cell.low, cell.high) if cell else NONE,
                "less published": _signed(cell.median - row.error) if cell and alike else NONE,
            }
        )
    table = pandas.DataFrame(rows)
    empty = [key for key in (INTERVAL, "less published") if not table[key].str.strip(NONE).any()]
    names = ("data", "recipe") if depths else ("data", "recipe", "depth")
    caption = f"{layout.title}. Ours: " + ", ".join(f"{n} {v}" for n, v in zip(names, setting, strict=True)) + "."
    return table.drop(columns=empty), caption


def papers(cells: pandas.DataFrame) -> dict[str, tuple[pandas.DataFrame, str]]:
    """The published tables that the study has two rows or more of, by name."""
    return {layout.name: made for layout in LAYOUTS if (made := paper(cells, layout))}


def pivot(cells: pandas.DataFrame, rows: str, columns: str) -> pandas.DataFrame:
    """The median error by two keys of the configuration, say 'shortcut' and 'depth'.

    Raises AblateError where a key is unknown or where two cells would fall on one place of the table.
    """
    found: dict[tuple[Any, ...], Any] = {}
    for cell in every(cells):
        at = tuple(cell.label if key == "shortcut" else said(cell.config, key) for key in (rows, columns))
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
    within = "" if math.isnan(row.difference_low) else f" [{row.difference_low:+.2f}, {row.difference_high:+.2f}]"
    return _signed(row.difference) + within


def _signed(value: float) -> str:
    return f"{value:+.2f}" if math.isfinite(value) else NONE


def _p(value: float) -> str:
    return NONE if math.isnan(value) else "< 0.001" if value < 0.001 else f"{value:.3g}"
