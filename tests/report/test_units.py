"""Maps of what `probes=signal` measured, from files that may be damaged."""

import json

import numpy
import pytest

from ablate.report import signals
from ablate.report.figures.units import gains, units


def write(folder, *lines):
    folder.mkdir()
    text = [one if isinstance(one, str) else json.dumps(one) for one in lines]
    (folder / "signal.jsonl").write_text("\n".join(text))
    return folder


def line(step, *gradient, path=(None, None)):
    return {"step": step, "gradient": list(gradient), "path": list(path), "gate": [None, None]}


def test_runs_are_averaged_at_their_common_steps(tmp_path):
    one = write(tmp_path / "a", line(1, 1.0, 100.0), line(2, 10.0, 0.0), line(4, 1.0, 1.0, path=(-3.0, -1.0)))
    two = write(tmp_path / "b", "torn {", line(1, 10.0, 100.0), "[]", line(4, 100.0, 1e-2, path=(-5.0, None)))
    found = signals.mean([one, two, tmp_path / "none"], "gradient")
    assert found.steps.tolist() == [1, 4]
    assert found.values.tolist() == [pytest.approx([0.5, 1.0]), pytest.approx([2.0, -1.0])]  # means of logarithms
    path = signals.mean([one, two], "path")
    assert path.values[0, 1] == -4
    assert numpy.isnan(path.values).tolist() == [[True, False], [True, True]]
    assert signals.mean([one, two], "gate") is None
    assert signals.mean([tmp_path / "none"], "gradient") is None
    other = write(tmp_path / "c", line(1, 1.0))
    assert signals.mean([one, other], "gradient") is None  # of another depth


class Row:
    name = "gate"


def test_each_row_has_a_panel_in_the_colours_of_all(tmp_path):
    small = write(tmp_path / "a", line(1, 1, 10), line(2, 1, 10))
    large = write(tmp_path / "b", line(1, 1e4, 1e6), line(2, 1e4, 1e6))
    rows = [(Row, signals.mean([folder], "gradient")) for folder in (small, large)]
    drawing = units("gradient", rows)
    *panels, bar = drawing.figure.axes
    assert [panel.get_title() for panel in panels] == ["gate", "gate"]
    assert {panel.collections[0].get_clim() for panel in panels} == {(0.0, 6.0)}
    assert panels[0].collections[0].get_array().shape == (2, 2)
    assert bar.get_ylabel() == "log10 of |dE/dx|"
    assert drawing.save("svg").startswith(b"<?xml")


def test_gains_have_the_first_and_the_last_step_and_theory(tmp_path):
    first = line(1, 1, 1, path=(-4, -2)) | {"theory": [-4, -2]}
    folder = write(tmp_path / "a", first, line(2, 1, 1, path=(-3, -1.5)), line(4, 1, 1, path=(-2, -1)))
    path, theory = (signals.mean([folder], key) for key in ("path", "theory"))
    assert theory.steps.tolist() == [1]
    drawing = gains([(Row, path, theory), (Row, path, None)])
    drawn = [[float(y) for y in one.get_ydata()] for one in drawing.axes.lines]
    assert drawn == [[-4, -2], [-4, -2], [-2, -1], [-4, -2], [-2, -1]]  # theory, first and last; then without theory
    assert next(iter(drawing.tips.values())) == ["gate, unit 1: 2^-2", "gate, unit 2: 2^-1"]
    nothing = write(tmp_path / "b", first, line(2, 1, 1, path=(None, -1)))
    drawing = gains([(Row, signals.mean([nothing], "path"), None)])
    assert next(iter(drawing.tips.values())) == ["gate, unit 2: 2^-1"]


def test_numbers_that_cannot_be_drawn_are_left_out(tmp_path):
    huge = json.dumps(line(4, 1.0, 1.0)).replace("1.0, 1.0", f"{10**400}, 1.0")
    run = write(
        tmp_path / "a", line(0, 1.0, 1.0), line(10**20, 1.0, 1.0), huge, line(2, 1.0, float("inf")), "[" * 10**5
    )
    found = signals.mean([run], "gradient")
    assert found.steps.tolist() == [2]
    assert found.values[0].tolist() == [0]
    assert numpy.isnan(found.values[1]).all()


def test_long_titles_have_lines_as_wide_as_a_panel(tmp_path):
    measured = signals.mean([write(tmp_path / "a", line(1, 1, 10))], "gradient")

    class Long:
        name = "gate bias_init=-6 probe_every=5 probes=signal, depth 14"

    for width, letters in ((None, 24), (3.25, 33), (5.5, 18), (6.75, 22)):
        drawing = units("gradient", [(Long, measured)] * 17, width=width)
        assert drawing.caption.endswith("The first 16 of 17 rows.")
        assert drawing.save("png").startswith(b"\x89PNG")  # with a warning, which is an error, if panels have no room
        title = drawing.figure.axes[0].get_title()
        assert title.replace("\n", " ") == Long.name
        assert max(map(len, title.splitlines())) <= letters
