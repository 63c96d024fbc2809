"""One table in many forms: terminal, Markdown, CSV, LaTeX, HTML. Names from outside are escaped in each."""

import math
import re
import unicodedata

import pandas
from jinja2 import Environment, PackageLoader
from rich.table import Table
from rich.text import Text

from ablate.report.tables import BEST

LEFT = (
    "shortcut",
    "state",
    "data",
    "recipe",
    "unit",
    "verdict",
    "case",
    "remark",
    "net",
    "on shortcut",
    "on F",
    "Fig.",
)
SPARED = ("seconds", "parameters", BEST, "mean ± std", "p (Holm)", "less published", "state")
"""What a narrow terminal does without, first to go first."""

PAGEFUL = 40
"""Rows that fit on a page of LaTeX."""

PAGES = Environment(
    loader=PackageLoader("ablate.report", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def terminal(table: pandas.DataFrame, width: int) -> tuple[Table, list[str]]:
    """The table for a terminal of `width` columns, and the columns that it has no room for."""
    spared: list[str] = []
    for name in SPARED:
        if _width(table) <= width:
            break
        if name in table:
            spared.append(name)
            table = table.drop(columns=name)
    drawn = Table()
    for name in table.columns:
        drawn.add_column(Text(str(name)), justify="left" if name in LEFT else "right")
    for row in table.itertuples(index=False):
        drawn.add_row(*(Text(str(value)) for value in row))
    return drawn, spared


def _width(table: pandas.DataFrame) -> int:
    """Columns that the table takes where headings may wrap between words and cells may not."""
    wide = [
        max([*map(len, str(name).split()), *(len(str(value)) for value in table.iloc[:, at])])
        for at, name in enumerate(table.columns)
    ]
    return sum(wide) + 3 * len(wide) + 1


def markdown(table: pandas.DataFrame) -> str:
    """A pipe table; what Markdown would take for structure is escaped."""
    rules = ["---" if name in LEFT else "--:" for name in table.columns]
    body = [[markdown_text(str(value)) for value in line] for line in [list(table.columns), *table.to_numpy().tolist()]]
    return "\n".join("| " + " | ".join(line) + " |" for line in [body[0], rules, *body[1:]]) + "\n"


def csv(cells: pandas.DataFrame) -> str:
    """The cells' numbers in full. A published 'fail' and an error that diverged are words: CSV has no infinity."""
    frame = cells.drop(columns=["place", "config", "is_baseline", "baseline_cell"])
    for column in ("parameters", "multiply_adds"):
        frame[column] = frame[column].round().astype("Int64")
    for column in ("median", "minimum", "maximum", "published"):
        word = "fail" if column == "published" else "diverged"
        frame[column] = frame[column].astype(object).where(frame[column] != math.inf, word)
    return frame.to_csv(index=False)


def runs_csv(runs: pandas.DataFrame) -> str:
    """Every run, without the configurations, which config.yaml has."""
    frame = runs.drop(columns=["path", "config", "versions"])
    for column in ("parameters", "multiply_adds", "steps"):
        frame[column] = frame[column].round().astype("Int64")
    return frame.to_csv(index=False)


def latex(table: pandas.DataFrame, caption: str) -> str:
    """A whole document that compiles as it is; the table within it, booktabs, is what goes into a paper."""
    head = " & ".join(_latex(str(name)) for name in table.columns)
    # {}, because a row that begins with [ or * would be taken for an argument of the \\ before it.
    rows = ["{}" + " & ".join(_latex(str(value)) for value in line) + r" \\" for line in table.to_numpy().tolist()]
    columns = "".join("l" if name in LEFT else "r" for name in table.columns)
    title = rf"\caption{{{_latex(caption)}}}"
    body = [r"\toprule", head + r" \\", r"\midrule", *rows, r"\bottomrule"]
    if len(rows) > PAGEFUL:
        table_lines = [rf"\begin{{longtable}}{{{columns}}}", title + r" \\", *body, r"\end{longtable}"]
    else:
        table_lines = [
            *(r"\begin{table}", r"\centering", title),
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            *(rf"\begin{{tabular}}{{{columns}}}", *body, r"\end{tabular}}", r"\end{table}"),
        ]
    packages = "booktabs,longtable" if len(rows) > PAGEFUL else "booktabs,graphicx"
    return "\n".join(
        [
            r"\documentclass{article}",
            r"\usepackage[utf8]{inputenc}",
            rf"\usepackage{{{packages}}}",
            r"\begin{document}",
            f"% From here to the end of the table: for your paper, which needs {packages.replace(',', ' and ')}.",
            *table_lines,
            r"\end{document}",
            "",
        ]
    )


def html(table: pandas.DataFrame, caption: str, notes: list[str]) -> str:
    """A whole page with the table alone."""
    columns = [(name, name in LEFT) for name in table.columns]
    return PAGES.get_template("table.html").render(
        columns=columns, rows=table.to_numpy().tolist(), caption=caption, notes=notes
    )


def markdown_text(text: str) -> str:
    """Text of which Markdown takes nothing for structure."""
    for mark in "\\|`*_<>[]&":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())


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
    "σ": r"$\sigma$",
    **{mark: "\\" + mark for mark in "&%$#_{}"},
}


def _latex(text: str) -> str:
    """What LaTeX takes for structure is escaped; letters that its usual fonts lack are named by their code."""
    text = " ".join(text.split())
    text = "".join(LATEX.get(c, c if _in_fonts(c) else f"[U+{ord(c):04X}]") for c in text)
    text = re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)  # a minus, not a hyphen
    return re.sub(r"(?<![\w.])\+(?=\d)", "$+$", text)


def _in_fonts(letter: str) -> bool:
    """ASCII, and the letters of western Europe: a plain letter and its accent."""
    if letter.isascii():
        return letter.isprintable()
    return ord(letter) < 256 and letter.isalpha() and unicodedata.normalize("NFD", letter)[0].isascii()
