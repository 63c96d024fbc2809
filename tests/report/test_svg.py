"""Figures as SVG elements of the page."""

import re
from dataclasses import asdict
from xml.etree import ElementTree

import numpy
import pytest

from ablate.report import curves, figures, records
from ablate.report.aggregate import cells
from ablate.report.figures import svg
from ablate.report.page import page
from tests.report.studies import learn

MARK = f"{{{svg.SVG}}}use"


@pytest.fixture
def draw(tmp_path):
    """Draws the records that were written; returns the drawings by name."""

    def make():
        runs = records.read(tmp_path / "runs").runs
        return dict(figures.draw(cells(runs), runs, curves.read_curves(runs.path)[0]))

    return make


def test_name_is_text_and_not_a_formula_or_an_element(write, draw, resolve):
    name = "$\\frac{a}{b}$ <b>&amp;</b>"
    write(test_error=5.0)
    write(tree=asdict(resolve()) | {"shortcut": {"name": name, "_target_": "mine.H", "source": "0123"}}, test_error=6.0)
    root = ElementTree.fromstring(svg.inline(draw()["shortcuts"], "f"))
    assert name in [text.text for text in root.iter(f"{{{svg.SVG}}}text")]
    assert not list(root.iter(f"{{{svg.SVG}}}b"))


def test_marks_carry_their_texts_and_ids_are_unique(write, draw):
    for shortcut in ("identity", "gate", "gate_b0"):
        learn(write(f"shortcut={shortcut}", test_error=5.0), 50.0, 5.0)
    drawings = draw()
    texts = [svg.inline(drawing, name) for name, drawing in drawings.items()]
    ids = [element.get("id") for text in texts for element in ElementTree.fromstring(text).iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for text, drawing in zip(texts, drawings.values(), strict=True):
        root = ElementTree.fromstring(text)
        known = {element.get("id") for element in root.iter()}
        assert {mark.get(f"{{{svg.XLINK}}}href").removeprefix("#") for mark in root.iter(MARK)} <= known
        assert set(re.findall(r"url\(#([^)]*)\)", text)) <= known
        tips = [mark.get("data-tip") for mark in root.iter() if mark.get("data-tip")]
        assert sorted(tips) == sorted(words for said in drawing.tips.values() for words in said)
        assert "#000000" not in text


def test_marks_beyond_the_axis_do_not_shift_the_texts_of_others(write, draw):
    for shortcut in ("identity", "gate"):
        learn(write(f"shortcut={shortcut}", test_error=5.0), 80.0, 30.0, 8.0, 5.0)
    text = svg.inline(draw()["curves-01-gate-bias_init=-6"], "c")
    assert text.count("iteration 60: test error 8.00 %") == 2
    assert "iteration 20:" not in text


def test_page_stays_under_5_mib(seeds, write, draw, tmp_path, resolve):
    """A page has up to 40 figures of learning curves; each has at most 60 marks to a curve, however long the runs."""
    for shortcut in ("identity", "gate"):
        for folder in seeds(f"shortcut={shortcut}", [5.0] * 5):
            learn(folder, *numpy.linspace(90, 5, 164))
    drawing = draw()["curves-01-gate-bias_init=-6"]
    assert 40 * len(svg.inline(drawing, "curves-01").encode()) < 4 * 2**20
    gate = asdict(resolve("shortcut=gate"))
    for number in range(1, 21):
        for seed in range(5):
            shortcut = gate["shortcut"] | {"bias_init": number}
            write(tree=gate | {"seed": seed, "shortcut": shortcut}, test_error=5.0)
    runs = records.read(tmp_path / "runs").runs
    assert len(runs) == 110
    assert len(page(runs, cells(runs), [], experiment=None, unread=[]).encode()) < 2**20
