"""LaTeX tables and figures in a paper of two columns: what is chosen, how wide it is, that TeX takes it."""

import re
import shutil
import subprocess

import pandas
import pytest

from ablate.report import figures, formats, paper, tables
from ablate.report.papers import papers
from tests.report.test_formats import NASTY

ERRORS = {
    "shortcut=identity": [5.0, 5.2, 5.4],
    "shortcut=gate": [6.0, 6.1, 6.5],
    "shortcut=constant": [50.0, 51.0, 55.0],
    "shortcut=exclusive_gate": [8.0, 8.5, 8.1],
}
PAPER = r"""\documentclass[twocolumn,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage{booktabs,graphicx}
\begin{document}
%s
A word. \clearpage
\typeout{widths \the\columnwidth\space \the\textwidth}
\end{document}
"""


@pytest.fixture
def compile_latex(tmp_path):
    """Compiles a paper of two columns with these lines; returns what TeX said."""
    if not shutil.which("pdflatex"):
        pytest.skip("no pdflatex on this machine")

    def make(*lines):
        (tmp_path / "paper.tex").write_text(PAPER % "\n".join(lines))
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
        assert done.returncode == 0, done.stdout[-2000:]
        return done.stdout

    return make


def headings(latex):
    (line,) = re.findall(r"\\toprule\n(.*) \\\\", latex)
    return line.split(" & ")


def test_column_of_a_paper_has_the_most_important_columns_that_fit(study):
    cells = study(ERRORS)
    wide, needed = paper.main_table(cells, columns=(), width=6.25, name="mine")
    assert headings(wide)[:2] == ["shortcut", "test error"]
    assert {"verdict", "p", r"$\Delta$ vs identity"} <= {*headings(wide)}
    assert needed <= 6.25
    narrow, needed = paper.main_table(cells, columns=(), width=3.05, name="mine")
    assert headings(narrow)[:2] == ["shortcut", "test error"]
    assert len(headings(narrow)) < len(headings(wide))
    assert needed <= 3.05
    assert r"\label{tab:mine}" in narrow


def test_number_of_seeds_is_a_column_only_if_it_differs(study):
    cells = study(ERRORS)
    assert "seeds" not in headings(paper.main_table(cells, columns=(), width=6.25, name="mine")[0])
    assert "over 3 seeds" in tables.heading(cells)
    cells = study({"shortcut=gate_b0": [9.0, 8.0]})
    assert "seeds" in headings(paper.main_table(cells, columns=(), width=9, name="mine")[0])


def test_chosen_columns_are_all_there_and_the_width_says_if_they_are_too_many(study):
    latex, needed = paper.main_table(study(ERRORS), columns=("p", "error", "interval"), width=3.05, name="mine")
    assert headings(latex) == ["shortcut", "p", "test error", r"95 \% interval"]
    assert needed > 3.05


def test_notes_explain_only_what_is_shown(study):
    cells = study(ERRORS)
    assert "Holm" not in paper.main_table(cells, columns=("error",), width=3.05, name="m")[0]
    assert "Intervals" not in paper.main_table(cells, columns=("error", "p"), width=3.05, name="m")[0]
    assert "Holm" in paper.main_table(cells, columns=("error", "p"), width=3.05, name="m")[0]


def test_rows_of_a_published_table_are_told_apart_and_have_our_errors(study):
    (table, caption), *_ = papers(study(ERRORS)).values()
    latex, needed = paper.published_table(table, caption, width=3.05, name="t")
    assert needed <= 3.05
    assert headings(latex)[:4] == ["case", "remark", "[B]", "ours (median)"]


@pytest.mark.parametrize("width", [3.05, 6.25])
def test_tables_go_into_a_paper_of_two_columns_as_they_are(width, study, compile_latex):
    cells = study(ERRORS)
    made = [paper.main_table(cells, columns=(), width=width, name="main")]
    made += [paper.published_table(*one, width=width, name="t") for one in papers(cells).values()]
    said = compile_latex(*(latex for latex, _ in made))
    assert "Overfull" not in said


@pytest.mark.parametrize("at", [0, 1, 2])
def test_estimated_width_is_that_of_tex(at, study, compile_latex):
    """Within 0.5 %: of a box with the tabular of the file."""
    table = tables.words(study(ERRORS)).iloc[:, [0, *range(at + 1, at + 4)]]
    latex = formats.latex(table, caption="", notes=(), label="x", wide=False)
    tabular = latex[latex.index(r"\begin{tabular}") : latex.index(r"\end{tabular}")] + r"\end{tabular}"
    said = compile_latex(
        rf"\footnotesize\setlength{{\tabcolsep}}{{3pt}}\setbox0=\hbox{{{tabular}}}", r"\typeout{> \the\wd0}"
    )
    (points,) = re.findall(r"> ([\d.]+)pt", said)
    assert formats.points(table) == pytest.approx(float(points), rel=0.005)


def test_odd_names_compile(compile_latex):
    table = pandas.DataFrame({"shortcut": ["a", "[x]", "*", "[2pt]", "ÅÑßéÿ ðþ÷", NASTY], NASTY: ["5"] * 6})
    compile_latex(formats.latex(table, caption=NASTY, notes=[NASTY, "[1]"], label=NASTY, wide=False))


@pytest.mark.parametrize("width", [3.05, 6.25])
def test_figures_have_the_width_and_the_letters_of_a_paper(width, study, tmp_path):
    from ablate.report import curves, records

    cells, runs = study(ERRORS), records.load(tmp_path / "runs")
    for _, drawing in figures.draw(cells, runs, curves.read_curves(runs.path)[0], width=width):
        (box,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) [\d.]+ \]", drawing.save("pdf"))
        assert float(box) == pytest.approx(72 * width, abs=0.1)
        assert {text.get_fontsize() for text in drawing.axes.get_xticklabels()} == {8.0}
        renderer = drawing.figure.canvas.get_renderer() if hasattr(drawing.figure.canvas, "get_renderer") else None
        legend = drawing.figure.legends[0].get_window_extent(renderer)
        assert legend.width <= drawing.figure.bbox.width


def test_height_grows_where_names_take_two_lines(study, tmp_path):
    from ablate.report import records
    from ablate.report.figures.shortcuts import by_shortcut

    cells = study(ERRORS)
    runs = records.load(tmp_path / "runs")
    long = by_shortcut(cells.assign(name=cells.label), runs, width=3.05)
    brief = by_shortcut(cells.assign(name=list("abcd")), runs, width=3.05)
    assert long.figure.get_figheight() > 1.5 * brief.figure.get_figheight()


def test_rows_that_are_incomplete_or_of_held_out_images_say_so(study, write):
    write("shortcut=gate", "seed=3", status="failed", reason="OSError")
    latex, _ = paper.main_table(study(ERRORS), columns=(), width=3.05, name="m")
    assert "seeds" in headings(latex)
    assert "3 of 4" in latex
    write("data.validation=100", test_error=9.0, evaluated_on="validation")
    latex, needed = paper.main_table(study({}), columns=(), width=3.05, name="m")
    assert headings(latex) == ["shortcut", "evaluated on", "error"]
    assert needed > 3.05


def test_published_errors_that_there_are_none_of_have_no_source(study):
    assert "Published" not in paper.main_table(study(ERRORS), columns=("published",), width=6.25, name="m")[0]
