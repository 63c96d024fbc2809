"""The figures: which are drawn of which records, and that marks are at the numbers they show."""

from dataclasses import asdict

import numpy
import pytest
from matplotlib.collections import LineCollection

from ablate.report import curves, figures, records
from ablate.report.aggregate import cells
from ablate.report.figures.drawing import COLOURS, DASHES, MARKERS, Drawing
from tests.report.studies import learn


@pytest.fixture
def draw(tmp_path):
    """Draws the records that were written; returns the drawings by name, and the cells."""

    def make():
        runs = records.read(tmp_path / "runs").runs
        study = cells(runs)
        read, _ = curves.read_curves(runs.path)
        return dict(figures.draw(study, runs, read)), study

    return make


def tips(drawing):
    return [text for group in drawing.tips.values() for text in group]


def labels_of(drawing):
    return [text.get_text() for text in drawing.figure.legends[0].get_texts()]


def offsets(axes):
    return {tuple(point) for collection in axes.collections for point in numpy.asarray(collection.get_offsets())}


def test_study_with_everything_has_every_figure(seeds, draw):
    for depth in (20, 56):
        for at, shortcut in enumerate(("identity", "gate", "gate_b0")):
            for folder in seeds(f"depth={depth} shortcut={shortcut}", [5.0 + at, 6.0 + at]):
                learn(folder, 50.0, 20.0, 5.0)
    drawings, _ = draw()
    swept = ["against-depth", "against-shortcut_bias_init"]
    assert list(drawings) == [
        "shortcuts",
        *swept,
        *(
            f"curves-{at:02}-gate-bias_init={name}"
            for at, name in enumerate(("0-depth-20", "0-depth-56", "-6-depth-20", "-6-depth-56"), 1)
        ),
    ]
    assert len({drawing.title for drawing in drawings.values()}) == len(drawings)
    assert "gate bias_init=0, depth 56: 7.50 ± 0.71, n = 2" in " ".join(tips(drawings["shortcuts"]))


def test_probes_whose_names_make_the_same_file_have_figures_of_their_own(write, draw):
    for name in ("identity", "gate"):
        probes = [{"α/stage1": 1.0, "β/stage1": 2.0}] * 2
        learn(write("probes=signal", f"shortcut={name}", test_error=5.0), 9.0, 5.0, probes=probes)
    drawings, _ = draw()
    assert [drawing.title for name, drawing in drawings.items() if name.startswith("probe-stage1")] == [
        "α in stage 1",
        "β in stage 1",
    ]


def test_curves_of_two_orders_name_them(write, tmp_path):
    for order in ("original", "full_preactivation"):
        learn(write(f"unit.order={order}", test_error=5.0), 9.0, 5.0)
    runs = records.load(tmp_path / "runs")
    study = cells(runs, [("unit.order", "original")])
    drawing = dict(figures.draw(study, runs, curves.read_curves(runs.path)[0])).popitem()[1]
    assert len({*labels_of(drawing)}) == 4
    assert drawing.title.endswith("against identity, unit basic")


def test_legend_of_many_rows_makes_the_figure_higher():
    few, many = Drawing("", "", (5.6, 3.6)), Drawing("", "", (5.6, 3.6))
    for drawing, rows in ((few, 2), (many, 16)):
        for row in range(rows):
            drawing.axes.plot([0, 1], [0, 1], label=f"a row of some length {row}")
        drawing.legend()
        drawing.figure.draw_without_rendering()
    heights = [drawing.axes.get_window_extent().height for drawing in (few, many)]
    assert few.figure.get_figheight() == 3.6
    assert heights[1] > 0.8 * heights[0]


def test_row_without_a_baseline_has_its_curve_alone(write, draw):
    learn(write("shortcut=gate", test_error=5.0), 50.0, 5.0)
    (drawing,) = draw()[0].values()
    assert drawing.title == "gate bias_init=-6"
    assert labels_of(drawing) == ["gate bias_init=-6, test", "gate bias_init=-6, training"]


def test_probes_have_a_figure_each_with_a_line_for_each_row(seeds, draw):
    for at, shortcut in enumerate(("identity", "gate")):
        for seed, folder in enumerate(seeds(f"probes=signal shortcut={shortcut}", [5.0, 6.0])):
            probes = [
                {"gradient/stage1": 10.0**step + seed} | ({"gate_openness/stage1": 0.5} if at else {})
                for step in range(3)
            ]
            learn(folder, 50.0, 20.0, 5.0, probes=probes)
    drawings, _ = draw()
    assert [name for name in drawings if name.startswith("probe")] == [
        "probe-gradient-stage1",
        "probe-gate_openness-stage1",
    ]
    drawing = drawings["probe-gradient-stage1"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in drawing.axes.lines}
    assert lines == {name: [[20.0, 1.5], [40.0, 10.5], [60.0, 100.5]] for name in ("identity", "gate bias_init=-6")}
    assert drawing.axes.get_yscale() == "log"
    assert "identity, iteration 60: gradient/stage1 100" in tips(drawing)
    assert labels_of(drawings["probe-gate_openness-stage1"]) == ["gate bias_init=-6"]


def test_failed_runs_have_no_figure(write, draw):
    for name in ("identity", "none"):
        write(f"shortcut={name}", status="failed", reason="OSError: disk full")
    assert draw()[0] == {}


def test_seeds_means_intervals_and_published_values_are_at_their_numbers(seeds, draw):
    seeds("data=cifar10 shortcut=identity depth=110", [4.0, 7.0, 4.0])
    seeds("data=cifar10 shortcut=none depth=110", [30.0, 50.0, 40.0])
    drawings, study = draw()
    axes = drawings["shortcuts"].figure.axes[0]
    (marks,) = (line for line in axes.lines if line.get_marker() == "|")
    assert {*map(tuple, marks.get_xydata())} == {*((x, 0) for x in (4, 7)), *((x, 1) for x in (30, 40, 50))}
    intervals = next(collection for collection in axes.collections if collection.get_label().startswith("95"))
    assert intervals.get_segments()[1].tolist() == [[study.low[1], 1], [study.high[1], 1]]
    assert {(5.0, 0.0), (40.0, 1.0), (6.61, 0.0), (20.0, 1.0)} <= offsets(axes)
    assert tips(drawings["shortcuts"])[-1] == "none: published > 20"
    assert [line for line in axes.lines if line.get_linestyle() == ":"] == []


def test_diverged_row_is_a_word_and_not_a_mark(seeds, draw):
    seeds("shortcut=identity", [5.0])
    seeds("shortcut=none", [None])
    axes = draw()[0]["shortcuts"].figure.axes[0]
    assert [text.get_text().strip() for text in axes.texts] == ["diverged 1 of 1"]
    assert [x for x, y in offsets(axes) if y == 1] == []


def test_error_of_a_stopped_run_is_a_mark(seeds, draw):
    seeds("shortcut=identity", [5.0])
    seeds("shortcut=none", [90.0], status="stopped", stopped_at=120, reason="at chance")
    axes = draw()[0]["shortcuts"].figure.axes[0]
    (marks,) = (line for line in axes.lines if line.get_marker() == "|")
    assert [90.0, 1.0] in marks.get_xydata().tolist()


def test_learning_curves_are_the_mean_and_the_band_of_the_seeds(seeds, draw):
    for shortcut, ends in {"identity": (4.0, 7.0, 4.0), "gate": (7.0, 8.0, 9.0)}.items():
        for seed, folder in enumerate(seeds(f"shortcut={shortcut}", ends)):
            learn(folder, 50.0 + seed, ends[seed])
    drawing = draw()[0]["curves-01-gate-bias_init=-6"]
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


def test_learning_curve_ends_where_the_first_run_diverged(seeds, draw):
    for folder in seeds("", [5.0] * 5):
        learn(folder, 50.0, 40.0, 5.0)
    for seed, folder in enumerate(seeds("shortcut=gate", [6.0, 6.0, 6.0, None, None])):
        learn(folder, *((60.0, 50.0, 6.0) if seed < 3 else (80.0, 90.0)))
    drawing = draw()[0]["curves-01-gate-bias_init=-6"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in drawing.figure.axes[0].lines}
    assert lines["gate bias_init=-6, test"] == [[20.0, 68.0], [40.0, 66.0]]
    assert len(lines["identity, test"]) == 3
    assert "Mean of 5 seeds" in drawing.caption
    assert "A curve ends where the first of its runs diverged." in drawing.caption


def test_learning_curve_ends_where_the_first_run_was_stopped(seeds, draw):
    for folder in seeds("", [5.0]):
        learn(folder, 50.0, 40.0, 5.0)
    for folder in seeds("shortcut=gate", [90.0], status="stopped", stopped_at=40, reason="at chance"):
        learn(folder, 90.0, 90.0)
    drawing = draw()[0]["curves-01-gate-bias_init=-6"]
    assert "A curve ends where the first of its runs was stopped at chance." in drawing.caption


def test_colours_markers_and_dashes_are_distinct():
    assert len({*COLOURS}) == len({*MARKERS}) == len({*map(str, DASHES)}) == 8


def test_bars_span_the_seeds(seeds, draw):
    for depth, errors in {20: [4.0, 8.0], 56: [5.0, 6.0]}.items():
        seeds(f"depth={depth}", errors)
    collections = draw()[0]["against-depth"].figure.axes[0].collections
    (bars,) = (collection for collection in collections if isinstance(collection, LineCollection))
    assert [segment.tolist() for segment in bars.get_segments()] == [[[20, 4], [20, 8]], [[56, 5], [56, 6]]]


def test_any_swept_number_has_a_figure(write, draw):
    for rate, error in ((0.1, 6.0), (0.01, 5.0), (0.2, 7.0)):
        write(f"recipe.learning_rate={rate}", test_error=error)
    drawing = draw()[0]["against-recipe_learning_rate"]
    assert offsets(drawing.figure.axes[0]) >= {(0.01, 5.0), (0.1, 6.0), (0.2, 7.0)}
    assert drawing.figure.axes[0].get_xscale() == "log"


def test_lines_along_depth_do_not_join_two_recipes(write, draw):
    write("depth=20", "recipe.learning_rate=0.1", test_error=5.0)
    write("depth=56", "recipe.learning_rate=0.5", test_error=6.0)
    assert "against-depth" not in draw()[0]
    write("depth=56", "recipe.learning_rate=0.1", test_error=7.0)
    drawing = draw()[0]["against-depth"]
    assert labels_of(drawing) == ["identity recipe.learning_rate=0.1"]
    assert [words.split(": ")[1] for words in drawing.tips["tip0"]] == ["5.00, n = 1", "7.00, n = 1"]


def test_lines_along_the_bias_do_not_join_two_configurations(write, draw):
    for rate in (0.1, 0.2):
        for option in "AB":
            for bias in (0, -6):
                write("shortcut=gate", f"shortcut.bias_init={bias}", f"shortcut.option={option}",
                      f"recipe.learning_rate={rate}", test_error=5.0 + rate - bias)  # fmt: skip
    assert labels_of(draw()[0]["against-shortcut_bias_init"]) == [
        "gate recipe.learning_rate=0.1",
        "gate recipe.learning_rate=0.2",
        "gate option=B recipe.learning_rate=0.1",
        "gate option=B recipe.learning_rate=0.2",
    ]


def test_baselines_of_the_gates_have_different_dashes(write, draw):
    for rate in (0.1, 0.2):
        for shortcut in ("identity", "gate", "gate_b0"):
            write(f"shortcut={shortcut}", f"recipe.learning_rate={rate}", test_error=5.0 + rate)
    lines = {line.get_label(): line for line in draw()[0]["against-shortcut_bias_init"].figure.axes[0].lines}
    levels = [lines[f"identity recipe.learning_rate={rate}"] for rate in (0.1, 0.2)]
    assert len({line.get_linestyle() for line in levels}) == 2


def test_long_name_is_cut_in_the_figure_and_whole_in_its_marks(write, draw, resolve):
    write(test_error=5.0)
    custom = {"name": "long" * 40, "_target_": "mine.H", "source": "0123", "bias_init": "auto"}
    write(tree=asdict(resolve()) | {"shortcut": custom}, test_error=6.0)
    drawing = draw()[0]["shortcuts"]
    shown = [label.get_text() for label in drawing.figure.axes[0].get_yticklabels()]
    assert max(map(len, shown)) == 44
    assert any("long" * 40 in text for text in tips(drawing))
