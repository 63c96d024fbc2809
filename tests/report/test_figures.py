"""The figures: what is drawn of which records, and that the marks lie where the numbers are."""

import json
import re
from xml.etree import ElementTree

import numpy
import pytest

from ablate.report import curves, figures, records, svg
from ablate.report.aggregate import cells
from ablate.report.drawing import COLOURS, DASHES, MARKERS
from ablate.report.page import page

MARK = f"{{{svg.SVG}}}use"


@pytest.fixture
def draw(write, tmp_path):
    """Draws the records that were written; gives the drawings by name, and the cells."""

    def make():
        runs = records.read(tmp_path / "runs").runs
        study = cells(runs)
        read, _ = curves.read_curves(runs.path)
        return dict(figures.draw(study, runs, read)), study

    return make


def learn(folder, *tests):
    lines = [
        {"step": 20 * at, "epoch": at, "lr": 0.1, "train_loss": 1.0, "train_error": test + 1, "test_loss": 1.0,
         "test_error": test, "seconds": 1.0}
        for at, test in enumerate(tests, 1)
    ]  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_every_figure_of_a_study_that_has_all_of_it(write, draw):
    for depth in (20, 56):
        for at, shortcut in enumerate(("identity", "none", "gate", "gate_b0")):
            for seed in range(3):
                folder = write(
                    f"depth={depth}", f"shortcut={shortcut}", f"seed={seed}", test_error=5.0 + at + seed,
                    multiply_adds=depth * 1e6, parameters=depth * 1e4,
                )  # fmt: skip
                learn(folder, 50.0, 20.0, 5.0 + at + seed)
    drawings, study = draw()
    assert list(drawings) == ["shortcuts", "depth", "bias", "cost", *(f"curves-{n:02}" for n in range(1, 7))]
    assert len({drawing.title for drawing in drawings.values()}) == len(drawings)
    said = [words for drawing in drawings.values() for tips in drawing.tips.values() for words in tips]
    assert "none, depth 56: 7.00, n = 3" in " ".join(said)
    assert len(drawings["cost"].tips) == study.shortcut.nunique()


def test_one_row_of_one_seed_has_nothing_to_draw(write, draw):
    learn(write("seed=0", test_error=5.0), 50.0, 5.0)
    assert draw()[0] == {}


def test_all_failed_has_nothing_to_draw(write, draw):
    for name in ("identity", "none"):
        write(f"shortcut={name}", status="failed", reason="OSError: disk full")
    assert draw()[0] == {}


def test_marks_lie_at_the_medians(write, draw):
    for shortcut, errors in {"identity": [4.0, 6.0, 5.0], "gate": [10.0, 40.0, 20.0]}.items():
        for seed, error in enumerate(errors):
            write(f"shortcut={shortcut}", f"seed={seed}", test_error=error)
    drawing = draw()[0]["shortcuts"]
    axes = drawing.figure.axes[0]
    placed = {tuple(point) for collection in axes.collections for point in numpy.asarray(collection.get_offsets())}
    assert {(5.0, 0.0), (20.0, 1.0), (6.61, 0.0), (6.91, 1.0)} <= placed


def test_a_diverged_row_is_written_and_never_drawn_as_a_number(write, draw):
    write("shortcut=identity", test_error=5.0)
    write("shortcut=none", status="diverged", reason="step 3")
    texts = [text.get_text().strip() for text in draw()[0]["shortcuts"].figure.axes[0].texts]
    assert texts == ["diverged"]


def test_curves_are_the_median_and_the_band_of_the_seeds(write, draw):
    for shortcut, ends in {"identity": (4.0, 6.0, 5.0), "gate": (7.0, 8.0, 9.0)}.items():
        for seed, end in enumerate(ends):
            learn(write(f"shortcut={shortcut}", f"seed={seed}", test_error=end), 50.0 + seed, end)
    drawing = draw()[0]["curves-01"]
    axes = drawing.figure.axes[0]
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines["identity, test"] == [[20.0, 51.0], [40.0, 5.0]]
    assert lines["gate bias_init=-6, training"] == [[20.0, 52.0], [40.0, 9.0]]
    assert axes.get_ylim() == (0, 20)
    bands = [
        c.get_paths()[0].get_extents() for c in axes.collections if type(c).__name__ == "FillBetweenPolyCollection"
    ]
    assert [(box.ymin, box.ymax) for box in bands] == [(4.0, 52.0), (5.0, 53.0), (7.0, 52.0), (8.0, 53.0)]
    assert "gate bias_init=-6, iteration 40: test error 8.00 % (7.00 to 9.00)" in drawing.tips["tip2"]
    assert "diverged" not in drawing.caption


def test_a_curve_never_goes_on_with_the_survivors(write, draw):
    for seed in range(5):
        learn(write(f"seed={seed}", test_error=5.0), 50.0, 40.0, 5.0)
        how = {"test_error": 6.0} if seed < 3 else {"status": "diverged", "reason": "step 50"}
        ends = (60.0, 50.0, 6.0) if seed < 3 else (80.0, 90.0)
        learn(write("shortcut=gate", f"seed={seed}", **how), *ends)
    drawing = draw()[0]["curves-01"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in drawing.figure.axes[0].lines}
    assert lines["gate bias_init=-6, test"] == [[20.0, 60.0], [40.0, 50.0]]
    assert len(lines["identity, test"]) == 3
    assert "Median of 5 seeds" in drawing.caption
    assert "A curve ends where the first of its runs diverged." in drawing.caption


def test_each_line_has_a_shape_of_its_own_beside_its_colour():
    assert len({*COLOURS}) == len({*MARKERS}) == len({*map(str, DASHES)}) == 8


def test_a_name_is_text_and_never_a_formula_or_an_element(write, draw, tmp_path, resolve):
    from dataclasses import asdict

    name = "$\\frac{a}{b}$ <b>&amp;</b>"
    write(test_error=5.0)
    tree = asdict(resolve())
    tree["shortcut"] = {"name": name, "_target_": "mine.H"}
    write(tree=tree, test_error=6.0)
    drawing = draw()[0]["shortcuts"]
    root = ElementTree.fromstring(svg.inline(drawing, "f"))
    assert name in [text.text for text in root.iter(f"{{{svg.SVG}}}text")]
    assert not list(root.iter(f"{{{svg.SVG}}}b"))


def test_an_inline_figure_knows_its_marks_and_shares_no_id(write, draw):
    for shortcut in ("identity", "none", "gate", "gate_b0"):
        learn(write(f"shortcut={shortcut}", test_error=5.0), 50.0, 5.0)
    drawings, _ = draw()
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


def test_the_page_of_a_hundred_runs_stays_under_5_mib(write, draw, tmp_path):
    for seed in range(5):
        for number in range(21):
            other = ["shortcut=gate", f"shortcut.bias_init={-number}"] if number else []
            learn(write(f"seed={seed}", *other, test_error=5.0), *numpy.linspace(90, 5, 164))
    drawings, study = draw()
    shown = [(svg.inline(drawing, name), drawing.title, drawing.caption) for name, drawing in drawings.items()]
    assert len(shown) == 22  # twenty biases against the identity, one line over all of them, one of all rows
    runs = records.read(tmp_path / "runs").runs
    assert len(runs) == 105
    assert len(page(runs, study, shown, experiment=None, unread=[]).encode()) < 5 * 2**20


def test_intervals_seeds_and_published_values_are_drawn_where_they_are(write, draw):
    for shortcut, errors in {"identity": [4.0, 6.0, 5.0], "none": [30.0, 50.0, 40.0]}.items():
        for seed, error in enumerate(errors):
            write(f"shortcut={shortcut}", f"seed={seed}", test_error=error)
    drawings, study = draw()
    axes = drawings["shortcuts"].figure.axes[0]
    lines = {(*line.get_xdata(),): set(line.get_ydata()) for line in axes.lines}
    assert lines[4.0, 6.0, 5.0] == {0}
    assert lines[30.0, 50.0, 40.0] == {1}
    assert lines[study.low[1], study.high[1]] == {1}
    offsets = {tuple(point) for collection in axes.collections for point in numpy.asarray(collection.get_offsets())}
    assert {(6.61, 0.0), (20.0, 1.0)} <= offsets  # 'fail' stands at 20 %


def test_bars_span_the_seeds_and_areas_are_the_parameters(write, draw):
    for depth, errors in {20: [4.0, 8.0], 56: [5.0, 6.0]}.items():
        for seed, error in enumerate(errors):
            write(f"depth={depth}", f"seed={seed}", test_error=error, multiply_adds=depth * 1e6, parameters=depth * 1e4)
    drawings, _ = draw()
    bars = {
        tuple(line.get_ydata()) for line in drawings["depth"].figure.axes[0].lines if len(set(line.get_xdata())) == 1
    }
    assert bars == {(4.0, 8.0), (5.0, 6.0)}
    (marks, *_) = drawings["cost"].figure.axes[0].collections
    small, large = marks.get_sizes()
    assert large / small == pytest.approx(56 / 20)
    assert numpy.asarray(marks.get_offsets()).tolist() == [[20e6, 6.0], [56e6, 5.5]]


def labels_of(drawing):
    return [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]


def test_no_line_along_depth_joins_two_recipes(write, draw):
    write("depth=20", "recipe.learning_rate=0.1", test_error=5.0)
    write("depth=56", "recipe.learning_rate=0.5", test_error=6.0)
    assert "depth" not in draw()[0]
    write("depth=56", "recipe.learning_rate=0.1", test_error=7.0)
    drawing = draw()[0]["depth"]
    assert labels_of(drawing) == ["identity recipe.learning_rate=0.1"]
    assert [words.split(": ")[1] for words in drawing.tips["tip0"]] == ["5.00, n = 1", "7.00, n = 1"]


def test_no_line_along_the_bias_joins_two_configurations(write, draw):
    for rate in (0.1, 0.2):
        for option in "AB":
            for bias in (0, -6):
                write("shortcut=gate", f"shortcut.bias_init={bias}", f"shortcut.option={option}",
                      f"recipe.learning_rate={rate}", test_error=5.0 + rate - bias)  # fmt: skip
    assert labels_of(draw()[0]["bias"]) == [
        "gate recipe.learning_rate=0.1",
        "gate recipe.learning_rate=0.2",
        "gate option=B recipe.learning_rate=0.1",
        "gate option=B recipe.learning_rate=0.2",
    ]


def test_each_level_has_a_dash_of_its_own(write, draw):
    for rate in (0.1, 0.2):
        for shortcut in ("identity", "gate", "gate_b0"):
            write(f"shortcut={shortcut}", f"recipe.learning_rate={rate}", test_error=5.0 + rate)
    lines = {line.get_label(): line for line in draw()[0]["bias"].figure.axes[0].lines}
    levels = [lines[f"identity recipe.learning_rate={rate}"] for rate in (0.1, 0.2)]
    assert len({line.get_linestyle() for line in levels}) == 2


def test_marks_beyond_the_axis_leave_the_others_their_words(write, draw):
    for shortcut in ("identity", "gate"):
        learn(write(f"shortcut={shortcut}", test_error=5.0), 80.0, 30.0, 15.0, 5.0)
    text = svg.inline(draw()[0]["curves-01"], "c")
    assert text.count("iteration 60: test error 15.00 %") == 2
    assert "iteration 20:" not in text


def test_a_long_name_leaves_a_figure_its_room_and_is_whole_in_its_marks(write, draw, tmp_path, resolve):
    from dataclasses import asdict

    write(test_error=5.0)
    tree = asdict(resolve())
    tree["shortcut"] = {"name": "long" * 40, "_target_": "mine.H", "bias_init": "auto"}
    write(tree=tree, test_error=6.0)
    drawing = draw()[0]["shortcuts"]
    shown = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert max(map(len, shown)) == 44
    assert any("long" * 40 in words for said in drawing.tips.values() for words in said)
