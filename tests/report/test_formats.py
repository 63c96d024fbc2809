"""One table in many forms: what a name may hold, and what each form must escape."""

import html.parser
import io
import re
import shutil
import subprocess

import pandas
import pytest
from rich.console import Console

from ablate.report import formats

NASTY = r"a&b_c$d%e#f{g}h~i^j\k<script>alert(1)</script>|l'm\"n é 中 −1 ±2"


@pytest.fixture
def table():
    return pandas.DataFrame(
        {"shortcut": [NASTY, "identity"], "test error": ["fail (72.40)", "-1.50"], "x_1 % [y]": ["–", "+2"]}
    )


# What a LaTeX manual says of each mark that means something to it.
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


@pytest.mark.parametrize("mark", WRITTEN)
def test_every_mark_of_latex_is_written_as_itself_in_heading_cell_and_caption(mark):
    text = formats.latex(pandas.DataFrame({f"h{mark}h": [f"a{mark}b"]}), f"c{mark}d")
    written = WRITTEN[mark]
    lines = text.splitlines()
    assert f"h{written}h " + r"\\" in lines
    assert "{}" + f"a{written}b " + r"\\" in lines
    assert rf"\caption{{c{written}d}}" in lines


def test_latex_has_the_structure_of_a_booktabs_table(table):
    text = formats.latex(table, "5 % & more")
    for rule in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\begin{tabular}{lrr}",
        r"\end{tabular}",
        r"\end{document}",
    ):
        assert text.count(rule) == 1
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")].splitlines()[1:]
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [2, 2]
    assert all(line.startswith("{}") and line.endswith(r" \\") for line in body)
    assert r"\caption{5 \% \& more}" in text
    assert r"\textless{}script\textgreater{}" in body[0]
    assert "[U+4E2D]" in body[0]
    assert "$-$1.50" in body[1]
    depth = 0
    for mark in re.findall(r"(?<!\\)[{}]", text.replace(r"\\", "")):
        depth += 1 if mark == "{" else -1
        assert depth >= 0
    assert depth == 0


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here: the structure alone is checked")
def test_latex_compiles_as_it_is(table, tmp_path):
    (tmp_path / "table.tex").write_text(formats.latex(table, NASTY))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "table.pdf").stat().st_size > 1000


def test_html_shows_the_name_and_runs_nothing_of_it(table):
    text = formats.html(table, NASTY, [NASTY])

    class Reader(html.parser.HTMLParser):
        tags, words = [], []

        def handle_starttag(self, tag, attrs):
            self.tags.append(tag)

        def handle_data(self, data):
            self.words.append(data)

    reader = Reader()
    reader.feed(text)
    assert "script" not in reader.tags
    assert reader.words.count(NASTY) == 4  # title, caption, cell, note
    assert reader.tags.count("td") == 6


def test_markdown_keeps_its_columns(table):
    lines = formats.markdown(table).splitlines()
    assert len(lines) == 4
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert lines[1] == "| --- | --: | --: |"


def test_a_narrow_terminal_loses_whole_columns_and_says_which():
    table = pandas.DataFrame(
        {"shortcut": ["identity"], "test error": ["5.00"], "seconds": ["30"], "parameters": ["852,730"]}
    )
    whole, spared = formats.terminal(table, 200)
    assert (len(whole.columns), spared) == (4, [])
    narrow, spared = formats.terminal(table, 30)
    assert [str(column.header) for column in narrow.columns] == ["shortcut", "test error"]
    assert spared == ["seconds", "parameters"]


@pytest.mark.parametrize("name", [r"a\[/b]", ":x: y", "[red]a[/red]", "[/]", "a\\"])
def test_a_terminal_takes_no_name_for_markup_or_a_picture(name):
    console = Console(file=io.StringIO(), width=80)
    console.print(formats.terminal(pandas.DataFrame({name: [name]}), 80)[0])
    assert console.file.getvalue().count(name) == 2


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no pdflatex here: the structure alone is checked")
@pytest.mark.parametrize("rows", [4, 90])
def test_latex_of_odd_names_and_of_many_rows_compiles_without_a_word(rows, tmp_path):
    names = ["a", "[x]", "*", "[2pt]"] + [f"row {number}" for number in range(rows - 4)]
    (tmp_path / "table.tex").write_text(formats.latex(pandas.DataFrame({"shortcut": names, "n": ["5"] * rows}), "c"))
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "too large" not in done.stdout
