"""The report as files: tables in each form, figures, the page. Each is replaced whole or not at all."""

import hashlib
import io
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pandas

from ablate.base.errors import AblateError
from ablate.base.files import write_whole
from ablate.base.terminal import is_terminal, say
from ablate.report import figures, formats, svg, tables
from ablate.report.curves import read_curves
from ablate.report.drawing import STYLE, Drawing
from ablate.report.page import page

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
    """Write all that `out` is to hold and give the page's path.

    Raises AblateError where it cannot be written, and, once all else is, where a file of these names is not this
    command's own.
    """
    try:
        folder = _Folder(out)
        for name, content in _tables(runs, cells, pivot):
            folder.write(name, content)
        shown, said = _figures(folder, runs, cells)
        for sentence in said:
            say(f"ablate.report: {sentence}", error=True)
        text = page(runs, cells, shown, pivot=pivot, experiment=experiment, unread=[*unread, *said])
        folder.write("report.html", text.encode())
        folder.settle()
    except OSError as error:
        raise AblateError(f"--out {out} cannot be written: {error.strerror}; name another folder") from error
    return out / "report.html"


class _Folder:
    """What this command has written into a folder, and that alone is replaced or removed by it.

    `written.json` has the names and hashes, so that a file of the same name that somebody else made, or has edited
    since, is never lost.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.memory = out, out / "written.json"
        (out / "figures").mkdir(parents=True, exist_ok=True)
        self.now: dict[str, str] = {}
        self.foreign: list[str] = []
        try:
            self.before: dict[str, str] = dict(json.loads(self.memory.read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            self.before = {}

    def write(self, name: str, content: bytes) -> None:
        path = self.out / name
        if path.exists() and not self._own(name):
            self.foreign.append(name)
            return
        write_whole(path, content)
        self.now[name] = _hash(content)
        write_whole(self.memory, json.dumps({**self.before, **self.now}, indent=1).encode(), durable=False)

    def settle(self) -> None:
        """Remove what an earlier report of another study left, so that nothing stands beside what it is not of.

        Raises AblateError where something was left as it is.
        """
        for name in self.before.keys() - self.now.keys():
            if self._own(name):
                (self.out / name).unlink(missing_ok=True)
        edited = {name: self.before[name] for name in self.foreign if name in self.before}
        write_whole(self.memory, json.dumps({**edited, **self.now}, indent=1).encode())
        if self.foreign:
            names = ", ".join(str(self.out / name) for name in self.foreign)
            raise AblateError(
                f"not as this command left it, and so not touched: {names}; all else is written; move it away, or name "
                "another folder with --out"
            )

    def _own(self, name: str) -> bool:
        try:
            return self.before.get(name) == _hash((self.out / name).read_bytes())
        except FileNotFoundError:
            return True
        except IsADirectoryError:
            return False


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _figures(
    folder: _Folder, runs: pandas.DataFrame, cells: pandas.DataFrame
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Write every figure; gives those of the page, and a sentence for each thing that is not drawn."""
    pairs = list(figures.comparisons(cells))
    left = len(pairs) - MOST_COMPARISONS
    wanted = {which for cell, base in pairs[:MOST_COMPARISONS] for which in (cell.cell, base.cell)}
    curves, said = read_curves(runs[runs.cell.isin(wanted)].path)
    if left > 0:
        said.append(f"curves are drawn for the first {MOST_COMPARISONS} comparisons; {left} more are not drawn")
    shown = []
    with warnings.catch_warnings():  # a letter that the font lacks is a box, and no reason to alarm
        warnings.simplefilter("ignore", UserWarning)
        for name, drawing in figures.draw(cells, runs, curves):
            _progress(f"drawing {name}: {drawing.title}")
            for kind in ("pdf", "svg", "png"):
                folder.write(f"figures/{name}.{kind}", _saved(drawing, kind))
            shown.append((svg.inline(drawing, name), drawing.title, drawing.caption))
    _progress("")
    return shown, said


def _tables(
    runs: pandas.DataFrame, cells: pandas.DataFrame, pivot: pandas.DataFrame | None
) -> Iterator[tuple[str, bytes]]:
    notes = tables.notes(cells)
    every = {"table": (tables.words(cells), "Error over seeds, by row.", notes)}
    every |= {name: (table, caption, []) for name, (table, caption) in tables.papers(cells).items()}
    if pivot is not None:
        every["pivot"] = (pivot, tables.PIVOT, [])
    for name, (table, caption, lines) in every.items():
        below = "\n\n".join(formats.markdown_text(line) for line in lines or [caption])
        yield f"{name}.md", (formats.markdown(table) + "\n" + below + "\n").encode()
        yield f"{name}.tex", formats.latex(table, " ".join([caption, *lines])).encode()
        yield f"{name}.html", formats.html(table, caption, lines).encode()
        yield f"{name}.csv", (formats.csv(cells) if name == "table" else table.to_csv(index=False)).encode()
    yield "runs.csv", formats.runs_csv(runs).encode()


def _saved(drawing: Drawing, kind: str) -> bytes:
    file = io.BytesIO()
    # No dates: the same records give the same files.
    metadata = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": None}[kind]
    with matplotlib.rc_context(STYLE):
        drawing.figure.savefig(file, format=kind, dpi=160, metadata=metadata)
    return file.getvalue()


def _progress(line: str) -> None:
    if is_terminal():
        print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)
