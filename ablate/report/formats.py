"""A table as text for a terminal, Markdown, CSV, LaTeX and HTML. Names from outside are escaped in each."""

import math
import re
import unicodedata

from jinja2 import Environment, PackageLoader
from pandas import DataFrame
from rich.table import Table
from rich.text import Text

from ablate.report.tables import BEST, FROM_PUBLISHED

LEFT = (
    *("shortcut", "state", "data", "recipe", "unit", "verdict", "evaluated on"),
    *("case", "remark", "net", "on shortcut", "on F", "Fig.", "run as"),
)
"""Columns of words, which are aligned to the left."""
SPARED = ("seconds", "parameters", BEST, "mean ± std", "p (Holm)", FROM_PUBLISHED, "state")
"""Columns that a narrow terminal omits, the first ones first."""
COUNTS = ("parameters", "multiply_adds")
PAGEFUL = 40
"""Rows that fit on a page of LaTeX."""

PAGES = Environment(
    loader=PackageLoader("ablate.report", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)


def terminal(table: DataFrame, width: int) -> tuple[Table, list[str]]:
    """The table for a terminal of `width` columns, and the headings for which there is no space."""
    spared: list[str] = []
    for name in SPARED:
        if _width(table) <= width:
            break
        if name in table:
            spared.append(name)
            table = table.drop(columns=name)
    drawn = Table()
    for name in table.columns:
        drawn.add_column(Text(str(name)), justify="left" if name in LEFT else "right", overflow="fold")
    for row in table.itertuples(index=False):
        drawn.add_row(*(Text(str(value)) for value in row))
    return drawn, spared


def _width(table: DataFrame) -> int:
    """The width of the table if headings are wrapped between words and cells are not."""
    wide = [
        max([*map(len, str(name).split()), *(len(str(value)) for value in table.iloc[:, at])])
        for at, name in enumerate(table.columns)
    ]
    return sum(wide) + 3 * len(wide) + 1


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


def cells_csv(cells: DataFrame) -> str:
    """The cells' numbers in full. CSV has no infinity: a published 'fail' and a diverged error are words."""
    frame = cells.drop(columns=["place", "config", "is_baseline", "baseline_cell"])
    for column in ("median", "minimum", "maximum", "published"):
        word = "fail" if column == "published" else "diverged"
        frame[column] = frame[column].astype(object).where(frame[column] != math.inf, word)
    return _counts(frame, *COUNTS).to_csv(index=False)


def runs_csv(runs: DataFrame) -> str:
    """Every run, without its configuration, which is in config.yaml."""
    return _counts(runs.drop(columns=["path", "config", "versions"]), *COUNTS, "steps").to_csv(index=False)


def _counts(frame: DataFrame, *columns: str) -> DataFrame:
    for column in columns:
        frame[column] = frame[column].round().astype("Int64")
    return frame


def latex(table: DataFrame, caption: str) -> str:
    """A document that compiles; the booktabs table in it is for a paper."""
    head = " & ".join(_latex(str(name)) for name in table.columns)
    # {}, because LaTeX takes a [ or * at the start of a row as an argument of the \\ before it.
    rows = ["{}" + " & ".join(_latex(str(value)) for value in line) + r" \\" for line in table.to_numpy().tolist()]
    columns = "".join("l" if name in LEFT else "r" for name in table.columns)
    title = rf"\caption{{{_latex(caption)}}}"
    if len(rows) > PAGEFUL:
        package, end = "longtable", [r"\end{longtable}"]
        begin = [rf"\begin{{longtable}}{{{columns}}}", title + r" \\"]
    else:
        package, end = "graphicx", [r"\end{tabular}}", r"\end{table}"]
        resize = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
        begin = [r"\begin{table}", r"\centering", title, resize, rf"\begin{{tabular}}{{{columns}}}"]
    lines = [
        *(r"\documentclass{article}", r"\usepackage[utf8]{inputenc}", rf"\usepackage{{booktabs,{package}}}"),
        r"\begin{document}",
        f"% From here to the end of the table: for your paper, which needs booktabs and {package}.",
        *(*begin, r"\toprule", head + r" \\", r"\midrule", *rows, r"\bottomrule", *end),
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


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
    **{mark: "\\" + mark for mark in "&%$#_{}"},
}


def _latex(text: str) -> str:
    """Characters with a meaning in LaTeX are escaped; letters that its usual fonts lack are given by their code."""
    text = " ".join(text.split())
    text = "".join(LATEX.get(c, c if _in_fonts(c) else f"[U+{ord(c):04X}]") for c in text)
    text = re.sub(r"(?<![\w.])-(?=\d)", "$-$", text)  # a minus, not a hyphen
    return re.sub(r"(?<![\w.])\+(?=\d)", "$+$", text)


def _in_fonts(letter: str) -> bool:
    """Whether it is ASCII, or a letter of western Europe: a plain letter with an accent."""
    return letter.isascii() or (letter.isalpha() and unicodedata.normalize("NFD", letter)[0].isascii() and letter < "Ā")


def html(table: DataFrame, caption: str, notes: list[str]) -> str:
    """A page with only the table."""
    return PAGES.get_template("table.html").render(table=html_table(table, caption), notes=notes)


def html_table(table: DataFrame, caption: str) -> dict[str, object]:
    """What the templates show of a table."""
    columns = [(name, name in LEFT or at == 0) for at, name in enumerate(table.columns)]
    return {"columns": columns, "rows": table.to_numpy().tolist(), "caption": caption}
