"""A study on one page: a single HTML file that opens from disk and loads nothing else."""

import math
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup
from pandas import DataFrame

from ablate.base.version import __version__
from ablate.report import tables, wording
from ablate.report.aggregate import computed_on
from ablate.report.formats import LEFT, PAGES, html_table
from ablate.report.papers import papers
from ablate.report.pivot import CAPTION
from ablate.report.records import rows_of
from ablate.runs.identity import EXCLUDED
from ablate.runs.naming import flatten, within

MOST_VALUES = 12
TROUBLES = ("failed", "diverged", "interrupted", "stale", "running", "missing")
REASONS = {
    "missing": "requested, but not started",
    "stale": "no process trains it; run the same command again to resume",
    "running": "in training",
}


def page(
    runs: DataFrame,
    cells: DataFrame,
    figures: list[tuple[str, str, str]],
    *,
    pivot: DataFrame | None = None,
    experiment: str | None,
    unread: list[str],
) -> str:
    """The page's HTML. `figures`: the <svg>, title and caption of each; `unread`: a sentence for each unread record."""
    columns = tables.columns(cells)
    return PAGES.get_template("page.html").render(
        title=experiment or "residual shortcuts",
        counts=[(count, state) for state in ("finished", *TROUBLES) if (count := int((runs.state == state).sum()))],
        setup=_setup(runs, cells),
        columns=[(column.heading, column.heading in LEFT) for column in columns],
        rows=[
            {
                "cells": [(column.text(cell), _sort_key(column, cell)) for column in columns],
                "runs": rows_of(runs[runs.cell == cell.cell].sort_values("seed")),
            }
            for cell in rows_of(cells)
        ],
        notes=tables.notes(cells),
        wording=wording,
        computed_on=computed_on,
        papers=[html_table(table, caption) for table, caption in papers(cells).values()],
        pivot=None if pivot is None else html_table(pivot, CAPTION),
        figures=[(Markup(svg), title, caption) for svg, title, caption in figures],
        troubles=_troubles(runs),
        unread=unread,
        provenance=_provenance(runs),
        commands=list(dict.fromkeys(command for command in runs.command if command)),
        example=next((shlex.quote(str(path)) for path in runs[runs.state == "finished"].path), None),
    )


def _sort_key(column: tables.Column, cell: Any) -> str:
    """What a column sorts by, or nothing for its text. Finite: with 'inf' the page would sort the column as text."""
    if column.key is None:
        return ""
    value = column.key(cell)
    return "1e9" if math.isnan(value) else f"{min(value, 1e8):.12g}"


def _setup(runs: DataFrame, cells: DataFrame) -> list[tuple[str, str]]:
    """The settings of all runs, key by key, with the values of those that differ."""
    flat = [flatten(config) for config in cells.config]
    hidden = ("shortcut", "seed", "iterations", "epochs", *EXCLUDED)
    out = [("shortcuts", ", ".join(dict.fromkeys(cells.shortcut)))]
    for key in dict.fromkeys(key for tree in flat for key in tree):
        values = [str(tree.get(key)) for tree in flat]
        if not within(key, hidden) and not key.endswith("_target_") and set(values) != {"None"}:
            out.append((key, _listed(values)))
    return [*out, ("seeds", _listed(map(str, sorted(runs.seed))))]


def _listed(values: Iterable[str]) -> str:
    unique = list(dict.fromkeys(values))
    more = f", … ({len(unique)})" if len(unique) > MOST_VALUES else ""
    return ", ".join(unique[:MOST_VALUES]) + more


def _troubles(runs: DataFrame) -> list[tuple[str, str, str]]:
    """State, folder and reason of each run that is missing or did not finish."""
    return [
        (state, run.folder, REASONS.get(state) or str(run.reason or "no reason given").splitlines()[0])
        for state in TROUBLES
        for run in rows_of(runs[runs.state == state])
    ]


def _provenance(runs: DataFrame) -> list[tuple[str, str]]:
    ended = runs[runs.started.notna() & runs.ended.notna()]
    out = []
    if len(ended):
        commits = zip(ended.commit.fillna("no checkout"), ended.changed, strict=True)
        out.append(("source", _listed(f"{commit[:12]}{' with changes' * changed}" for commit, changed in commits)))
        for name in dict.fromkeys(name for versions in ended.versions for name in versions):
            out.append((name, _listed(versions[name] for versions in ended.versions if name in versions)))
        out.append(("computed on", "; ".join(dict.fromkeys(computed_on(run) for run in rows_of(ended)))))
        out.append(("trained", f"{ended.started.min()} to {ended.ended.max()} (UTC)"))
        out.append(("time in runs", f"{ended.seconds.sum() / 3600:.2f} hours"))
    return [*out, ("this page", f"ablate {__version__}, {datetime.now(UTC).isoformat(timespec='minutes')}")]
