"""A table as Markdown, CSV, LaTeX and for a terminal: what each form escapes and omits."""

import csv
import io
import re
from dataclasses import asdict

import pandas
import pytest
from rich.console import Console

from ablate.report import aggregate, formats, records

NASTY = r"a&b_c$d%e#f{g}h~i^j\k<script>alert(1)</script>|l'm\"n é 中 −1 ±2 Δ"


@pytest.fixture
def table():
    return pandas.DataFrame(
        {"shortcut": [NASTY, "identity"], "test error": ["fail (72.40)", "-1.50"], "x_1 % [y]": ["–", "+2"]}
    )


# How LaTeX writes the characters that have a meaning in it.
WRITTEN = {
    **{mark: rf"\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
}


def latex(table, caption, *notes, wide=False):
    return formats.latex(table, caption=caption, notes=notes, label="a study_1", wide=wide)


@pytest.mark.parametrize("mark", WRITTEN)
def test_latex_escapes_heading_cell_and_caption(mark):
    text = latex(pandas.DataFrame({f"h{mark}h": [f"a{mark}b"]}), f"c{mark}d", f"e{mark}f")
    written = WRITTEN[mark]
    lines = text.splitlines()
    assert f"h{written}h " + r"\\" in lines
    assert "{}" + f"a{written}b " + r"\\" in lines
    assert rf"\caption{{c{written}d}}" in lines
    assert rf"\parbox{{\linewidth}}{{\footnotesize e{written}f}}" in lines


def test_latex_is_a_booktabs_table(table):
    text = latex(table, "5 % & more")
    for rule in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\begin{table}",
        r"\begin{tabular}{@{}lrr@{}}",
        r"\end{tabular}",
        r"\end{table}",
        r"\label{tab:a-study-1}",
    ):
        assert text.count(rule) == 1
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [2, 2]
    assert all(line.startswith("{}") and line.endswith(r" \\") for line in body)
    assert r"\caption{5 \% \& more}" in text
    assert r"\textless{}script\textgreater{}" in body[0]
    assert "[U+4E2D]" in body[0]
    assert r"$\Delta$" in body[0]
    assert "$-$1.50" in body[1]
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0


def test_wide_latex_table_is_across_both_columns(table):
    assert r"\begin{table*}" in (text := latex(table, "c", wide=True))
    assert r"\end{table*}" in text


def test_markdown_has_one_column_per_heading(table):
    lines = formats.markdown(table).splitlines()
    assert len(lines) == 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert lines[1] == "| --- | --: | --: |"


def test_narrow_terminal_wraps_long_words():
    table = pandas.DataFrame({"shortcut": ["gate bias_init=-6", "gate bias_init=0"], "test error": ["5.00", "6.00"]})
    console = Console(file=io.StringIO(), width=26)
    console.print(formats.terminal(table))
    assert "…" not in console.file.getvalue()


@pytest.mark.parametrize("name", [r"a\[/b]", ":x: y", "[red]a[/red]", "[/]", "a\\"])
def test_terminal_shows_markup_and_emoji_codes_as_text(name):
    console = Console(file=io.StringIO(), width=80)
    console.print(formats.terminal(pandas.DataFrame({name: [name]})))
    assert console.file.getvalue().count(name) == 2


def test_csv_has_full_numbers_and_words_for_infinity(study):
    cells = study({"data=cifar10": [1 / 3], "data=cifar10 shortcut=none": [None]})
    trained, diverged = csv.DictReader(io.StringIO(formats.cells_csv(cells)))
    assert float(trained["mean"]) == pytest.approx(1 / 3, rel=1e-12)
    assert trained["parameters"] == "75002"
    assert (diverged["median"], diverged["published"]) == ("diverged", "> 20")
    assert not {"inf", "nan"} & {value.lower() for row in (trained, diverged) for value in row.values()}


def test_text_that_a_spreadsheet_takes_for_a_formula_is_marked_as_text(write, resolve, tmp_path):
    tree = asdict(resolve()) | {"shortcut": {"name": "=cmd()", "_target_": "mine.H", "source": "0123"}}
    write(tree=tree, test_error=5.0, command="@SUM(1)")
    write(test_error=6.0)
    runs = records.load(tmp_path / "runs")
    rows = csv.DictReader(io.StringIO(formats.cells_csv(aggregate.cells(runs))))
    assert {row["shortcut"] for row in rows} == {"'=cmd()", "identity"}
    rows = csv.DictReader(io.StringIO(formats.runs_csv(runs)))
    assert {(row["label"], row["command"]) for row in rows} == {("'=cmd()", "'@SUM(1)"), ("identity", "")}


@pytest.mark.parametrize("value", ["=1+1", "+1 a", "-a", "@a", "\ta", "\r=1", "-1.5 [a]", "--1"])
def test_formula_in_a_cell_or_heading_is_marked(value):
    assert formats.csv(pandas.DataFrame({value: [value]})) == f"'{value}\n'{value}\n"


@pytest.mark.parametrize("value", ["-0.25", "+1.00", "-6", "1e-4", "+1e+4", "a=b", "", "–", "5.00 ± 1.0"])
def test_numbers_and_words_are_not_marked(value):
    assert formats.csv(pandas.DataFrame({"x": [value], "y": [-1.5]})).splitlines()[1] in (
        f"{value},-1.5",
        f'"{value}",-1.5',
    )


def test_runs_csv_has_one_row_per_run(seeds, tmp_path):
    seeds("", [5.0, None], steps=460)
    rows = list(csv.DictReader(io.StringIO(formats.runs_csv(records.load(tmp_path / "runs")))))
    assert sorted((row["seed"], row["state"], row["test_error"], row["steps"]) for row in rows) == [
        ("0", "finished", "5.0", "460"),
        ("1", "diverged", "", "460"),
    ]
