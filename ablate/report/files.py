"""The report as files: tables in each form, figures, the page."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from pandas import DataFrame
from rich.progress import track

from ablate.base.errors import AblateError
from ablate.base.files import write_whole
from ablate.base.terminal import console, is_terminal
from ablate.report import figures, formats, paper, tables
from ablate.report.curves import read_curves
from ablate.report.figures.drawing import Drawing
from ablate.report.figures.svg import inline
from ablate.report.page import page
from ablate.report.paper import WIDTHS
from ablate.report.papers import papers
from ablate.report.published import TABLES

PAGE = "report.html"
GENERATOR = b'<meta name="generator" content="ablate">'
"""Marks a page of this command; see templates/page.html."""
FORMS, IMAGES = ("md", "tex", "csv"), ("pdf", "svg", "png")
MORE = ("pivot", "own", "tuning")
"""Tables that only some reports have."""
PATTERNS = (
    *(f"{name}.{form}" for name in ("table", *MORE, *(table.name for table in TABLES)) for form in FORMS),
    *(f"figures/{name}.{form}" for name in figures.PATTERNS for form in IMAGES),
)
"""Files of an earlier report."""
Draw = Callable[[float | None], Iterable[tuple[str, Drawing]]]
"""Figures by name, for a paper of this width in inches or for the page."""
NARROWER = "choose fewer with --columns, or shorter names with --names"
MOST_COMPARISONS = 40
"""Comparisons whose curves are drawn, so that the page stays small."""


def write(
    out: Path,
    runs: DataFrame,
    cells: DataFrame,
    *,
    more: Mapping[str, tuple[DataFrame, str]],
    draw: Draw = lambda width: (),
    experiment: str | None,
    unread: list[str],
    columns: Sequence[str] = (),
    width: float | None = None,
) -> list[str]:
    """Write the report into `out` and return a sentence for each curve that is not drawn or lacks evaluations, and for
    each LaTeX table that is too wide.

    `more`: the tables of MORE that there are, with their captions; `draw`: further figures. `columns` of
    `tables.COLUMNS` for the main table. `width`: that of a paper's column or page in inches, for the
    figures' files and LaTeX. `out` is a new or empty folder, or one with an earlier report, which is replaced; other
    files in it stay. Raises AblateError, with nothing changed, if it holds files but no page of this command, and if it
    cannot be written.
    """
    try:
        head = (out / PAGE).read_bytes()[:1000] if (out / PAGE).is_file() else b""
        if GENERATOR not in head and out.exists() and any(path for path in out.rglob("*") if path.is_file()):
            raise AblateError(f"--out {out} holds files but no report: nothing was written; use another folder")
        (out / "figures").mkdir(parents=True, exist_ok=True)
        drawn, shown, left_out = _figures(runs, cells, draw, width)
        notes = [*unread, *left_out]
        text = page(runs, cells, shown, more=more.values(), experiment=experiment, unread=notes, columns=columns)
        written, too_wide = _tables(runs, cells, more, columns, width or WIDTHS["page"], experiment or "ablate")
        # The page comes first: it marks the folder, should this process be killed.
        files = {PAGE: text.encode(), **written, **drawn}
        for name, content in files.items():
            write_whole(out / name, content, durable=False)
        for path in (path for pattern in PATTERNS for path in out.glob(pattern)):
            if str(path.relative_to(out)) not in files:
                path.unlink()
    except OSError as error:
        raise AblateError(f"--out {out} cannot be written: {error.strerror}; use another folder") from error
    return [*left_out, *(too_wide if width else [])]


def _figures(
    runs: DataFrame, cells: DataFrame, further: Draw, width: float | None
) -> tuple[dict[str, bytes], list[tuple[str, str, str]], list[str]]:
    """Every figure as files, those of the page, and a sentence for each thing that is not drawn."""
    pairs = list(figures.comparisons(cells))
    wanted = {cell.cell for pair in pairs[:MOST_COMPARISONS] for cell in pair}
    curves, left_out = read_curves(runs[runs.cell.isin(wanted)].path)
    if more := len(pairs[MOST_COMPARISONS:]):
        left_out.append(f"curves are drawn for the first {MOST_COMPARISONS} comparisons; {more} more are not drawn")
    drawn: dict[str, bytes] = {}
    shown: list[tuple[str, str, str]] = []
    progress: Any = {"console": console(error=True), "transient": True, "disable": not is_terminal()}
    with warnings.catch_warnings():  # matplotlib warns of each letter that the font lacks, and draws a box
        warnings.simplefilter("ignore", UserWarning)
        every = chain(figures.draw(cells, runs, curves), further(None))
        for name, drawing in track(every, "Drawing figures", **progress):
            shown.append((inline(drawing, name), drawing.title, drawing.caption))
            if not width:
                drawn |= {f"figures/{name}.{kind}": drawing.save(kind) for kind in IMAGES}
        if width:
            every = chain(figures.draw(cells, runs, curves, width=width), further(width))
            for name, drawing in track(every, "For the paper", **progress):
                drawn |= {f"figures/{name}.{kind}": drawing.save(kind) for kind in IMAGES}
    return drawn, shown, left_out


def _tables(
    runs: DataFrame,
    cells: DataFrame,
    more: Mapping[str, tuple[DataFrame, str]],
    columns: Sequence[str],
    width: float,
    study: str,
) -> tuple[dict[str, bytes], list[str]]:
    """Every table in each form, and a sentence for each that is wider than `width` inches as LaTeX."""
    published = papers(cells)
    made = {"table": (tables.words(cells, columns), "\n".join(tables.notes(cells))), **published, **more}
    found, too_wide = {"runs.csv": formats.runs_csv(runs)}, []
    for name, (table, caption) in made.items():
        below = "\n\n".join(formats.markdown_text(line) for line in caption.split("\n"))
        found[f"{name}.md"] = formats.markdown(table) + "\n" + below + "\n"
        found[f"{name}.csv"] = formats.cells_csv(cells) if name == "table" else formats.csv(table)
        if name == "table":
            latex, needed = paper.main_table(cells, columns=columns, width=width, name=study)
        else:
            form = paper.published_table if name in published else paper.plain_table
            latex, needed = form(table, caption, width=width, name=f"{study}-{name}")
        found[f"{name}.tex"] = latex
        if needed > width:
            too_wide.append(f"{name}.tex is {needed:.1f} inches wide, for {width:g}: {NARROWER}")
    return {name: text.encode() for name, text in found.items()}, too_wide
