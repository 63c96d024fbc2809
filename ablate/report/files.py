"""The report as files: tables in each form, figures, the page. Each is replaced whole or not at all."""

import io
import re
import sys
from pathlib import Path

import matplotlib
import pandas

from ablate.errors import AblateError
from ablate.files import write_whole
from ablate.report import figures, formats, svg, tables
from ablate.report.curves import read_curves
from ablate.report.page import page

FORMS = ("md", "csv", "tex", "html")
MOST_COMPARISONS = 40
"""Curves are drawn of so many cells: beyond that nobody looks, and the page is to open fast."""


def write(
    out: Path,
    runs: pandas.DataFrame,
    cells: pandas.DataFrame,
    *,
    pivot: pandas.DataFrame | None,
    experiment: str | None,
    unread: list[str],
) -> Path:
    """Write all that `out` is to hold and give the page's path. Raises AblateError where it cannot be written."""
    try:
        (out / "figures").mkdir(parents=True, exist_ok=True)
        _tables(out, runs, cells, pivot)
        pairs = list(figures.comparisons(cells))
        left = len(pairs) - MOST_COMPARISONS
        wanted = {which for cell, base in pairs[:MOST_COMPARISONS] for which in (cell.cell, base.cell)}
        curves, cut = read_curves(runs[runs.cell.isin(wanted)].path)
        said = [*unread, *cut]
        if left > 0:
            said.append(f"curves are drawn for the first {MOST_COMPARISONS} comparisons; {left} more are not drawn")
        for sentence in said[len(unread) :]:
            print(f"ablate.report: {sentence}", file=sys.stderr)
        shown, drawn = [], set()
        for name, drawing in figures.draw(cells, runs, curves):
            _progress(f"drawing {name}: {drawing.title}")
            for kind in ("pdf", "svg", "png"):
                write_whole(out / "figures" / f"{name}.{kind}", _saved(drawing, kind))
                drawn.add(f"{name}.{kind}")
            shown.append((svg.inline(drawing, name), drawing.title, drawing.caption))
        _progress("")
        _sweep(out / "figures", r"(shortcuts|depth|bias|cost|curves-\d+)\.(pdf|svg|png)", drawn)
        content = page(runs, cells, shown, experiment=experiment, unread=said)
        write_whole(out / "report.html", content.encode())
    except OSError as error:
        raise AblateError(f"--out {out} cannot be written: {error.strerror}; name another folder") from error
    return out / "report.html"


def _tables(out: Path, runs: pandas.DataFrame, cells: pandas.DataFrame, pivot: pandas.DataFrame | None) -> None:
    notes = tables.notes(cells)
    every = {"table": (tables.words(cells), "Error over seeds, by row.", notes)}
    every |= {name: (table, caption, []) for name, (table, caption) in tables.papers(cells).items()}
    if pivot is not None:
        every["pivot"] = (pivot, "Median error, percent, last epoch.", [])
    _sweep(out, r"(table\d|pivot)\.(md|csv|tex|html)", {f"{name}.{kind}" for name in every for kind in FORMS})
    for name, (table, caption, lines) in every.items():
        below = "\n".join(lines) if name == "table" else caption
        write_whole(out / f"{name}.md", (formats.markdown(table) + "\n" + below + "\n").encode())
        write_whole(out / f"{name}.tex", formats.latex(table, " ".join([caption, *lines])).encode())
        write_whole(out / f"{name}.html", formats.html(table, caption, lines).encode())
        if name != "table":
            write_whole(out / f"{name}.csv", table.to_csv(index=False).encode())
    write_whole(out / "table.csv", formats.csv(cells).encode())
    write_whole(out / "runs.csv", formats.runs_csv(runs).encode())


def _sweep(folder: Path, ours: str, kept: set[str]) -> None:
    """Remove what an earlier report of another study left here, so that nothing stands beside what it is not of."""
    for path in folder.iterdir():
        if re.fullmatch(ours, path.name) and path.name not in kept:
            path.unlink()


def _saved(drawing: figures.Drawing, kind: str) -> bytes:
    file = io.BytesIO()
    # No dates: the same records give the same files.
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": None}[kind]
    with matplotlib.rc_context(figures.STYLE):
        drawing.figure.savefig(file, format=kind, dpi=160, metadata=metadata)
    return file.getvalue()


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)
