"""`ablate check`: a class of one's own by its name, words of a run, and what cannot be checked."""

import pytest

from ablate.training.checks import CHECKS

SHORTCUT = '''
from torch import nn

class Half(nn.Module):
    """y = scale x + F(x), for units that keep the shape alone."""

    def __init__(self, in_channels, out_channels, stride, *, scale=0.5):
        super().__init__()
        self.scale = scale
        self.pool = nn.AvgPool2d(stride)

    def forward(self, x, residual):
        return self.scale * self.pool(x) + residual
'''
UNIT = """
from ablate.models.units import Basic

class Mine(Basic):
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Modules of one's own in the working directory."""
    (tmp_path / "checkmine.py").write_text(SHORTCUT)
    (tmp_path / "checkunit.py").write_text(UNIT)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.filterwarnings("ignore")  # of torch's own tracing
def test_unit_of_ones_own_passes_every_check(own, ask, strict_json):
    said = ask("check", "checkunit.Mine", "--json")
    assert said.status == 0, said.err
    (found,) = strict_json(said.out)["checked"]
    assert found["name"] == "identity unit=Mine"
    assert found["holds"]
    assert {one["check"]: one["wrong"] for one in found["findings"]} == dict.fromkeys(CHECKS, "")
    assert found["parameters"] > 70_000


def test_failure_is_one_sentence_and_status_1(own, ask):
    said = ask("check", "checkmine.Half", "+shortcut.scale=2.0")
    assert said.status == 1
    assert "✗  shapes, stride 1 and 2" in said.out
    assert "shapes, stride 1 and 2: net resnet with shortcut Half in unit basic fails on images of 16x16" in said.out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ((), "nothing is named"),
        (("gate",), "gate is no class: write it as MODULE.CLASS, or shortcut=gate for one that ships"),
        (("nowhere.Mine",), "nowhere.Mine cannot be imported"),
        (("--all", "shortcut=gate"), "--all and shortcut=gate are both given"),
        (("shortcut=identity,gate",), "add -m"),
    ],
)
def test_what_cannot_be_checked_is_refused(words, part, ask):
    said = ask("check", *words)
    assert said.status == 2
    assert part in said.err
