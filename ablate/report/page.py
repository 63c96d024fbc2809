"""A study on one page: a single HTML file that opens from disk and loads nothing else."""

import shlex
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from pandas import DataFrame

from ablate.base.version import __version__
from ablate.report import tables, wording
from ablate.report.aggregate import computed_on
from ablate.report.equations import equation
from ablate.report.formats import LEFT
from ablate.report.papers import papers
from ablate.report.records import rows_of
from ablate.report.summary import summary
from ablate.runs.identity import EXCLUDED
from ablate.runs.naming import flatten, within

PAGES = Environment(loader=PackageLoader("ablate.report", "templates"), autoescape=True, trim_blocks=True)
MOST_VALUES = 12
TROUBLES = ("failed", "diverged", "stopped", "interrupted", "stale", "running", "missing")
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
    more: Iterable[tuple[DataFrame, str]] = (),
    experiment: str | None = None,
    unread: Iterable[str] = (),
    columns: Sequence[str] = (),
) -> str:
    """The page's HTML. `figures`: the <svg>, title and caption of each; `more`: further tables, each with its caption;
    `unread`: a sentence for each unread record.
    """
    return PAGES.get_template("page.html").render(
        title=experiment or "residual shortcuts",
        counts=[(count, state) for state in ("finished", *TROUBLES) if (count := int((runs.state == state).sum()))],
        setup=_setup(runs, cells),
        main=_table(tables.words(cells, columns)),
        equations=[equation(cell.config, runs.path[runs.cell == cell.cell]) for cell in rows_of(cells)],
        runs=[rows_of(runs[runs.cell == cell].sort_values("seed")) for cell in cells.cell],
        summary=summary(cells),
        notes=tables.notes(cells),
        wording=wording,
        computed_on=computed_on,
        papers=[_table(table, caption) for table, caption in papers(cells).values()],
        more=[_table(table, caption) for table, caption in more],
        figures=[(Markup(svg), title, caption) for svg, title, caption in figures],
        troubles=[
            (state, run.folder, REASONS.get(state) or str(run.reason or "no reason given").splitlines()[0])
            for state in TROUBLES
            for run in rows_of(runs[runs.state == state])
        ],
        unread=unread,
        provenance=_provenance(runs),
        commands=list(dict.fromkeys(command for command in runs.command if command)),
        example=next((shlex.quote(str(path)) for path in runs[runs.state == "finished"].path), None),
    )


def _table(table: DataFrame, caption: str = "") -> dict[str, object]:
    """What the templates show of a table: headings, whether they are of words, rows, caption."""
    columns = [(name, name in LEFT or at == 0) for at, name in enumerate(table.columns)]
    return {"columns": columns, "rows": table.to_numpy().tolist(), "caption": caption}


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
