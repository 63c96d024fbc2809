"""The factors that theory gives to shortcuts."""

import math

import pytest
import torch
from torch import nn

from ablate.base.errors import AblateError
from ablate.models import shortcuts
from ablate.probes.theory import factor
from tests.models.networks import resnet
from tests.probes.small import measured


class Own(nn.Module):
    """A shortcut of a user that says its factor."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def gain(self):
        return self.factor


class Other(shortcuts.Constant):
    """Another equation than its parent's."""


@pytest.mark.parametrize("gain", ["half", math.nan, math.inf, None])
def test_own_gain_that_is_no_number_is_refused(gain):
    with pytest.raises(AblateError, match=rf"^Own.gain\(\) gives {gain!r}, not a finite number$"):
        factor(Own(gain))


@pytest.mark.parametrize(
    ("shortcut", "expected"),
    [
        (shortcuts.Identity(2, 4, 2), (1, 1)),
        (shortcuts.Identity(2, 4, 2, option="B"), None),
        (shortcuts.Identity(2, 2, 1, option="B"), (1, 1)),
        (shortcuts.Identity(2, 2, 1, option="C"), None),
        (shortcuts.Constant(2, 2, 1, scale=-0.3), (-0.3, 0.3)),
        (shortcuts.Gate(2, 2, 1, bias_init=-6), (0.99752737684, 0.99752737684)),
        (shortcuts.ExclusiveGate(2, 2, 1, bias_init=0), (0.5, 0.5)),
        (shortcuts.Gate(2, 2, 1, weight_init="he"), None),
        (shortcuts.Conv1x1(2, 4, 2), (0, math.sqrt(2))),
        (shortcuts.Conv1x1(2, 4, 2, norm=True), None),
        (shortcuts.Dropout(2, 2, 1, p=0.75), (1, 2)),
        (shortcuts.Dropout(2, 2, 1, p=0.75, scaling="test"), (0.25, 0.5)),
        (Own(-2), (-2, 2)),
        (Other(2, 2, 1), None),
    ],
)
def test_factors_of_theory(shortcut, expected):
    found = factor(shortcut)
    assert found is None if expected is None else found == pytest.approx(expected, rel=1e-9)


def test_theory_of_1x1_convolutions_is_their_mean_over_weights():
    torch.manual_seed(0)
    units = measured(resnet(56, shortcuts.Conv1x1), size=8, channels=1, classes=10).units
    squares = [4**unit.path.own.log2 for unit in units]
    assert sum(squares) / len(squares) == pytest.approx(2, rel=0.1)
    assert units[0].path.backward.log2 == pytest.approx(units[0].theory.log2, abs=2)
