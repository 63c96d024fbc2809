"""The figures of `ablate probe`."""

import math

import pytest

from ablate.report.figures.signal import draw


def network(name, gains, theory=None):
    def gain(log2):
        return {"log2": log2}

    return {
        "name": name,
        "units": [
            {
                "unit": at,
                "mean_square": {"x": 1.0, "h": 0.0, "F": 1.0},
                "gradient": 10.0**-at,
                "theory": None if theory is None else gain(theory[at - 1]),
                "shortcut": {"backward": gain(log2), "forward": None, "with_f": gain(log2 - 1)},
            }
            for at, log2 in enumerate(gains, 1)
        ],
    }


def lines(drawing):
    """The drawn lines with a point."""
    return [line for line in drawing.axes.lines if len(line.get_xdata()) and not all(map(math.isnan, line.get_ydata()))]


def test_gain_of_zero_is_drawn_below_all_others_and_not_joined_to_them():
    drawing = dict(draw([network("a", [-math.inf, -54.0, -2.0], theory=[-60.0, -40.0, -2.0])]))["shortcut-gain"]
    drawing.save("svg")
    ticks = {
        text.get_text(): y for text, y in zip(drawing.axes.get_yticklabels(), drawing.axes.get_yticks(), strict=True)
    }
    zero = ticks["0"]
    assert zero < -60
    assert all(text == "0" or text.startswith("2") for text in ticks)
    heights = [[y for y in line.get_ydata() if not math.isnan(y)] for line in lines(drawing)]
    assert heights == [[-60, -40, -2], [-54, -2], [zero], [-55, -3], [zero]]
    assert [text.get_text() for text in drawing.figure.legends[0].texts] == ["backward", "theory", "backward, with f"]
    assert drawing.axes.get_title(loc="left") == "a"


def test_several_networks_have_a_colour_and_a_dash_each():
    drawings = dict(draw([network("a", [0.0, 0.0]), network("b", [-2.0, -1.0])]))
    drawn = [line for line in lines(drawings["shortcut-gain"]) if line.get_ydata()[0] in (0, -2)]
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 2
    assert [text.get_text() for text in drawings["gradient"].figure.legends[0].texts] == ["a", "b"]
    assert drawings["mean-squares"].axes.get_yscale() == drawings["gradient"].axes.get_yscale() == "log"
    assert lines(drawings["gradient"])[0].get_ydata() == pytest.approx([0.1, 0.01])
