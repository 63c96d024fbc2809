"""One page that shows a study: a single HTML file that opens from disk and asks nobody for anything."""

import math
import shlex
from datetime import UTC, datetime
from typing import Any

import pandas
from markupsafe import Markup

from ablate.base.version import __version__
from ablate.report import tables
from ablate.report.aggregate import how
from ablate.report.formats import LEFT, PAGES
from ablate.report.records import every, flatten

MOST_COMMANDS = 20
TOLD = ("failed", "diverged", "interrupted", "stale", "running", "missing")


def page(
    runs: pandas.DataFrame,
    cells: pandas.DataFrame,
    figures: list[tuple[str, str, str]],
    *,
    pivot: pandas.DataFrame | None = None,
    experiment: str | None,
    unread: list[str],
) -> str:
    """The page's HTML. `figures`: the <svg>, the title and the caption of each; `unread`: a sentence for each record
    that could not be read."""
    table = tables.words(cells)
    return PAGES.get_template("page.html").render(
        title=experiment or "residual shortcuts",
        question=_question(cells),
        counts=_counts(runs),
        setup=_setup(runs, cells),
        columns=[(name, name in LEFT) for name in table.columns],
        rows=[
            {
                "words": list(zip(table.columns, line, _keys(cell, table.columns), strict=True)),
                "runs": _runs(runs[runs.cell == cell.cell]),
            }
            for line, cell in zip(table.to_numpy().tolist(), every(cells), strict=True)
        ],
        notes=tables.notes(cells),
        papers=[_plain(made, caption) for made, caption in tables.papers(cells).values()],
        pivot=None if pivot is None else _plain(pivot, tables.PIVOT),
        figures=[(Markup(svg), title, caption) for svg, title, caption in figures],
        troubles=_troubles(runs),
        unread=unread,
        provenance=_provenance(runs),
        commands=_commands(runs),
        example=next((shlex.quote(str(path)) for path in runs[runs.state == "finished"].path), None),
    )


def _plain(table: pandas.DataFrame, caption: str) -> dict[str, Any]:
    columns = [(name, name in LEFT or at == 0) for at, name in enumerate(table.columns)]
    return {"columns": columns, "rows": table.to_numpy().tolist(), "caption": caption}


def _question(cells: pandas.DataFrame) -> str:
    if cells.depth.nunique() > 1 and cells.shortcut.nunique() <= 3:
        return (
            "How does the test error of a network change with its depth, by what stands on the shortcut of each unit?"
        )
    if cells.unit.nunique() > 1 and cells.shortcut.nunique() == 1:
        return "What does the order of activations in the residual unit do to training?"
    return "What does h(x), the shortcut of every residual unit, do to training?"


def _counts(runs: pandas.DataFrame) -> list[tuple[int, str]]:
    counts = runs.state.value_counts()
    return [(int(counts[state]), state) for state in ("finished", *TOLD) if counts.get(state)]


def _setup(runs: pandas.DataFrame, cells: pandas.DataFrame) -> list[tuple[str, str]]:
    """What all runs share, key by key, and what differs, with its values."""
    flat = [flatten(config) for config in cells.config]
    left_out = {
        "seed",
        "results",
        "experiment",
        "rerun",
        "dry_run",
        "data.root",
        "data.download",
        "iterations",
        "epochs",
    }
    keys = [
        key
        for key in dict.fromkeys(key for tree in flat for key in tree)
        if key not in left_out and not key.startswith(("shortcut.", "checkpoint.")) and not key.endswith("_target_")
    ]
    out = [("shortcuts", ", ".join(dict.fromkeys(cells.shortcut)))]
    for key in keys:
        values = list(dict.fromkeys(str(tree.get(key)) for tree in flat))
        if values != ["None"]:
            out.append((key, ", ".join(values[:12]) + (", …" if len(values) > 12 else "")))
    seeds = sorted(set(runs.seed))
    return [*out, ("seeds", ", ".join(map(str, seeds[:12])) + (f", … ({len(seeds)})" if len(seeds) > 12 else ""))]


def _keys(cell: Any, columns: Any) -> list[str]:
    """By what each column sorts: numbers as such, a diverged row last, a row without the number after that.

    All are finite: a word among them, as -inf, and the page sorts the whole column as text.
    """
    less = cell.median - cell.published
    numbers = {
        "n": cell.n,
        "mean ± std": cell.mean,
        tables.INTERVAL: cell.low,
        "p (Holm)": cell.p_holm,
        tables.BEST: cell.best_epoch,
        "published": cell.published,
        "less published": less if cell.same_setting and math.isfinite(less) else math.nan,
        "depth": cell.depth,
        "parameters": cell.parameters,
        "seconds": cell.seconds,
    }
    keys = []
    for name in columns:
        value = cell.difference if name.startswith("less ") else cell.median if tables.LAST in name else None
        value = numbers.get(name, value)
        keys.append("" if value is None else "1e9" if math.isnan(value) else f"{min(value, 1e8):.12g}")
    return keys


def _runs(group: pandas.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "seed": str(run.seed),
            "state": run.state,
            "error": tables.number(run.test_error),
            "best": tables.number(run.best_test_error),
            "training": tables.number(run.train_error),
            "seconds": tables.whole(run.seconds),
            "computed": ", ".join(str(word) for word in (run.device, run.precision) if word),
            "folder": run.folder,
        }
        for run in every(group.sort_values("seed"))
    ]


def _troubles(runs: pandas.DataFrame) -> list[tuple[str, str, str]]:
    """Runs that are not there or did not finish: what is wrong, the run, and the reason."""
    told = []
    for state in TOLD:
        for run in every(runs[runs.state == state]):
            reason = {
                "missing": "it was asked for and has not begun",
                "stale": "it began and nobody is at it; the same command again goes on",
                "running": "it is being trained",
            }.get(state) or (str(run.reason or "no reason given").splitlines()[0])
            told.append((state, run.folder, reason))
    return told


def _provenance(runs: pandas.DataFrame) -> list[tuple[str, str]]:
    ended = runs[runs.started.notna()]
    out = []
    if len(ended):
        commits = [f"{c[:12]}{' with changes' if changed else ''}" for c, changed in
                   dict.fromkeys(zip(ended.commit.fillna("no checkout"), ended.changed, strict=True))]  # fmt: skip
        out.append(("source", ", ".join(commits)))
        names = dict.fromkeys(name for versions in ended.versions for name in versions)
        for name in names:
            out.append((name, ", ".join(dict.fromkeys(str(v[name]) for v in ended.versions if name in v))))
        out.append(("computed on", "; ".join(dict.fromkeys(how(run) for run in every(ended)))))
        out.append(("trained", f"{ended.started.min()} to {ended.ended.dropna().max()} (UTC)"))
        out.append(("time in runs", f"{ended.seconds.sum() / 3600:.2f} hours"))
    out.append(("this page", f"ablate {__version__}, {datetime.now(UTC).isoformat(timespec='minutes')}"))
    return out


def _commands(runs: pandas.DataFrame) -> list[str]:
    """What was typed, each once; the rest are said to be more."""
    commands = list(dict.fromkeys(command for command in runs.command if command))
    more = len(commands) - MOST_COMMANDS
    return commands[:MOST_COMMANDS] + ([f"# and {more} more: the column command of runs.csv"] if more > 0 else [])
