"""A table as text for a terminal, Markdown, CSV and LaTeX. Names from outside are escaped in each."""

import math
import re
from collections.abc import Iterable
from typing import Any

from pandas import DataFrame
from rich.table import Table
from rich.text import Text

from ablate.report import wording

LEFT = (
    *("shortcut", "state", "data", "recipe", "unit", "verdict", "evaluated on"),
    *("case", "remark", "net", "on shortcut", "on F", "Fig.", "run as"),
)
"""Columns of words, which are aligned to the left."""
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?(e[-+]?\d+)?")
COUNTS = ("parameters", "multiply_adds")


def terminal(table: DataFrame) -> Table:
    """The table for a terminal; long words are wrapped."""
    drawn = Table()
    for name in table.columns:
        drawn.add_column(Text(str(name)), justify="left" if name in LEFT else "right", overflow="fold")
    for row in table.itertuples(index=False):
        drawn.add_row(*(Text(str(value)) for value in row))
    return drawn


def markdown(table: DataFrame) -> str:
    """A pipe table; characters with a meaning in Markdown are escaped."""
    rules = ["---" if name in LEFT else "--:" for name in table.columns]
    body = [[markdown_text(str(value)) for value in line] for line in [list(table.columns), *table.to_numpy().tolist()]]
    return "\n".join("| " + " | ".join(line) + " |" for line in [body[0], rules, *body[1:]]) + "\n"


def markdown_text(text: str) -> str:
    """Text without a meaning in Markdown."""
    for mark in "\\|`*_<>[]&":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


def csv(frame: DataFrame) -> str:
    """Comma-separated values. Text that a spreadsheet would take for a formula begins with an apostrophe."""
    words = frame.select_dtypes(exclude="number").map(_as_text)
    frame = frame.copy()
    frame[words.columns] = words
    return frame.rename(columns=_as_text).to_csv(index=False)


def _as_text(value: Any) -> Any:
    formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if formula and not NUMBER.fullmatch(value) else value


def cells_csv(cells: DataFrame) -> str:
    """The cells' numbers in full. CSV has no infinity: a diverged error and a published 'fail' are words."""
    frame = _whole(cells.drop(columns=["place", "config", "is_baseline", "baseline_cell"]), *COUNTS)
    for column in ("median", "minimum", "maximum", "published"):
        word = wording.published(math.inf) if column == "published" else "diverged"
        frame[column] = frame[column].astype(object).where(frame[column] != math.inf, word)
    return csv(frame)


def runs_csv(runs: DataFrame) -> str:
    """Every run, without its configuration, which is in config.yaml."""
    frame = runs.drop(columns=["path", "config", "versions", "code"])
    return csv(_whole(frame, *COUNTS, "steps", "threads"))


def _whole(frame: DataFrame, *columns: str) -> DataFrame:
    return frame.assign(**{column: frame[column].round().astype("Int64") for column in columns})


def latex(table: DataFrame, *, caption: str, notes: Iterable[str], label: str, wide: bool) -> str:
    r"""A float that \input puts into a paper: a booktabs table at its natural size, the caption above, notes below.

    `wide`: across both columns of a page.
    """
    head = " & ".join(_latex(str(name)) for name in table.columns)
    # {}, because LaTeX takes a [ or * at the start of a row as an argument of the \\ before it.
    rows = ["{}" + " & ".join(_latex(str(value)) for value in line) + r" \\" for line in table.to_numpy().tolist()]
    columns = "".join("l" if name in LEFT else "r" for name in table.columns)
    below = " ".join(_latex(line) for line in notes)
    kind = "table*" if wide else "table"
    lines = [
        r"% \usepackage{booktabs} in the preamble, and here \input of this file",
        *(rf"\begin{{{kind}}}", r"\centering", rf"\caption{{{_latex(caption)}}}", rf"\label{{tab:{_slug(label)}}}"),
        *(r"\par\smallskip", r"\footnotesize", rf"\setlength{{\tabcolsep}}{{{SEPARATION:g}pt}}"),
        *(rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}", r"\toprule", head + r" \\", r"\midrule", *rows),
        *(r"\bottomrule", r"\end{tabular}"),
        *([r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {below}}}"] if below else []),
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


SEPARATION = 3.0
"""Points on either side of a column of a LaTeX table, but not at its ends."""
CMR8 = 1.0625
"""How much wider the 8 pt letters of Computer Modern are than its 10 pt letters at 8 pt, which matplotlib has."""
AS_WIDE = str.maketrans({**dict.fromkeys("±×−_<>", "+"), "–": "o", "Δ": "D"})
"""Letters that the font lacks or has at another width, and letters of the width that TeX gives them."""


def points(table: DataFrame) -> float:
    """The width of a LaTeX table in points, in the 8 pt Computer Modern of its small letters."""
    from matplotlib import get_data_path
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(fname=f"{get_data_path()}/fonts/ttf/cmr10.ttf", size=8 * CMR8)

    def width(text: object) -> float:
        letters = re.sub(r"[^ -~]", "M", str(text).translate(AS_WIDE))
        return float(text_to_path.get_text_width_height_descent(letters, font, False)[0])

    widths = [max(map(width, [name, *table[name]])) for name in table.columns]
    return sum(widths) + 2 * SEPARATION * (len(widths) - 1)


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "table"


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "Δ": r"$\Delta$",
    "→": r"$\rightarrow$",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
}


def _latex(text: str) -> str:
    """Characters with a meaning in LaTeX are escaped; letters that its usual fonts lack are given by their code."""
    text = "".join(LATEX.get(c, c) for c in " ".join(text.split()))
    text = re.sub(r"[^\x00-\x7fÀ-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿ]", lambda found: f"[U+{ord(found[0]):04X}]", text)
    text = text.replace("--", "-{}-")
    text = re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)  # a minus, not a hyphen
    return re.sub(r"(?<![\w.])\+(?=\d)", "$+$", text)
