"""The table of a study, one row a cell: for the terminal, as Markdown, as CSV."""

import math
from typing import Any

import pandas
from rich.table import Table

from ablate.report.aggregate import SETTINGS

HEADINGS = {
    "label": "shortcut",
    "data": "data",
    "recipe": "recipe",
    "unit": "unit",
    "depth": "depth",
    "n": "n",
    "error": "test error, last epoch (median)",
    "mean_std": "mean ± std",
    "best_epoch": "best epoch (flatters)",
    "published": "published",
    "parameters": "parameters",
    "seconds": "seconds",
    "state": "state",
}


def words(cells: pandas.DataFrame) -> pandas.DataFrame:
    """The cells as a person reads them: text alone, only the settings that differ, headings as column names."""
    vary = [key for key in SETTINGS if cells[key].nunique() > 1]
    rows = [
        {key: _text(key, row) for key in HEADINGS if key not in SETTINGS or key in vary} for _, row in cells.iterrows()
    ]
    table = pandas.DataFrame(rows)
    empty = [key for key in ("state", "published") if key in table and not table[key].str.strip("–").any()]
    table = table.drop(columns=empty)
    error = "test" if (cells.evaluated_on == "test").all() else "validation"
    return table.rename(columns={**HEADINGS, "error": f"{error} error, last epoch (median)"})


def notes(cells: pandas.DataFrame) -> list[str]:
    """What must stand under the table for its numbers to be read rightly."""
    first = cells.iloc[0]
    shared = ", ".join(f"{key} {first[key]}" for key in SETTINGS if cells[key].nunique() == 1)
    lines = [f"Errors in percent. All rows: {shared}." if shared else "Errors in percent."]
    if cells.published.notna().any():
        sources = " and ".join(sorted(set(cells.source) - {""}))
        lines.append(f"Published: {sources}, CIFAR-10 test error; 'fail' is above 20 % (He et al. 2016).")
        if not cells.same_setting[cells.published.notna()].all():
            lines.append(
                "Not every row was measured in the published setting (110 layers, CIFAR-10, 64,000 iterations): "
                "there compare the order of the rows, not the values."
            )
    for how in sorted(set(cells.computed) - {""}):
        lines.append(f"Computed on {how}.")
    if cells.mixed.any():
        lines.append("Seeds of one row were computed on different devices, in different precisions or thread counts.")
    if (cells.n <= 1).all():
        lines.append("One seed a row: single runs swing, so small differences say nothing.")
    if (cells.evaluated_on != "test").any():
        lines.append("Some rows were evaluated on pictures held out of the training set, not on the test set.")
    return lines


def csv(cells: pandas.DataFrame) -> str:
    """The cells' numbers in full. A published 'fail' and a median that diverged are words: CSV has no infinity."""
    frame = cells.drop(columns="place")
    frame["parameters"] = frame.parameters.astype("Int64")
    for column, word in (("published", "fail"), ("median", "diverged")):
        frame[column] = frame[column].astype(object).where(frame[column] != math.inf, word)
    return frame.to_csv(index=False)


def terminal(table: pandas.DataFrame) -> Table:
    drawn = Table()
    for name in table.columns:
        drawn.add_column(name, justify="left" if name in ("shortcut", "state", "data", "recipe", "unit") else "right")
    for row in table.itertuples(index=False):
        drawn.add_row(*(str(value).replace("[", "\\[") for value in row))
    return drawn


def markdown(table: pandas.DataFrame) -> str:
    """A pipe table; what Markdown would take for structure is escaped."""
    lines = [list(table.columns), ["---"] * len(table.columns), *table.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(_escape(str(value)) for value in line) + " |" for line in lines) + "\n"


def _escape(text: str) -> str:
    for mark in "\\|`*_<>[]":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


def _text(key: str, row: Any) -> str:
    if key == "n":
        return str(row.n) if row.n == row.seeds else f"{row.n} of {row.seeds}"
    if key == "error":
        if math.isnan(row["median"]):
            return "–"
        figure = f"{row['median']:.2f}"
        return row.verdict if row.verdict == "diverged" else f"{row.verdict} ({figure})" if row.verdict else figure
    if key == "mean_std":
        spread = "" if math.isnan(row["std"]) else f" ± {row['std']:.2f}"
        return "–" if math.isnan(row["mean"]) else f"{row['mean']:.2f}{spread}"
    if key == "published":
        return "–" if math.isnan(row.published) else "fail" if row.published == math.inf else f"{row.published:.2f}"
    value = row[key]
    if isinstance(value, float):
        if math.isnan(value):
            return "–"
        return f"{value:.2f}" if key == "best_epoch" else f"{value:,.0f}"
    return str(value)
