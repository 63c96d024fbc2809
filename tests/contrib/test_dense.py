"""DenseNet against its equation, and its size against the paper's."""

import pytest
import torch
from torch.nn import functional

from ablate.base.errors import ConfigError
from ablate.models.build import build, check_buildable
from ablate.models.cost import parameters
from tests.contrib.slow import compare


def forward(slow, x):
    """Eq. 2 of the paper: x_l = H_l([x_0, ..., x_(l−1)]) in each stage."""
    x = slow.conv("stem", x)
    for stage in range(3):
        first = 0
        if stage:
            name, first = f"stages.{stage}.0", 1
            x = functional.avg_pool2d(slow.conv(f"{name}.2", slow.bn(f"{name}.0", x).relu()), 2)
        outputs = [x]
        for number in range(first, first + 2):
            unit = f"stages.{stage}.{number}"
            given = slow.bn(f"{unit}.before.0", torch.cat(outputs, 1)).relu()
            outputs.append(slow.conv(f"{unit}.residual.0", given))
        x = torch.cat(outputs, 1)
    return slow.head(slow.bn("last.0", x).relu())


def test_network_is_that_of_the_equations(resolve):
    config = resolve("net=densenet", "depth=10", "net.growth=5")
    compare(build(config, shape=(1, 8, 8), classes=10), forward)


# 1608.06993, Table 2
@pytest.mark.parametrize(("depth", "growth", "millions"), [(40, 12, 1.0), (100, 12, 7.0), (100, 24, 27.2)])
def test_number_of_parameters_is_that_of_the_paper(depth, growth, millions, resolve):
    network = build(resolve("net=densenet", f"depth={depth}", f"net.growth={growth}"), shape=(3, 32, 32), classes=10)
    assert round(parameters(network) / 1e6, 1) == millions


def test_number_of_parameters_is_that_counted_by_hand(resolve):
    """12 units a stage, each with 110 numbers for a channel that it is given: BN 2, convolution 9 · 12.

    Stage 1 has 16, 28, ..., 148 channels, 984 in all; stage 2 from 160, 2712; stage 3 from 304, 4440. Transitions of
    160 and 304 channels have BN and a convolution; the end has BN of 448 channels and the head.
    """
    network = build(resolve("net=densenet"), shape=(3, 32, 32), classes=10)
    transitions = 2 * 160 + 160**2 + 2 * 304 + 304**2
    assert parameters(network) == 432 + 110 * (984 + 2712 + 4440) + transitions + 2 * 448 + 4490 == 1_019_722


def test_units_are_numbered_without_the_transitions(resolve):
    network = build(resolve("net=densenet", "depth=13", "shortcut=stable"), shape=(1, 8, 8), classes=10)
    assert [stage for stage, _ in network.units()] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert {unit.shortcut.scale for _, unit in network.units()} == {1 / 3}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("net=densenet", "depth=41"), r"depth 41 is not 3n\+4"),
        (("net=densenet", "net.growth=0"), "net.growth=0 is invalid: it must be 1 or more"),
        (("net=densenet", "width=2"), "takes no width"),
        (("net=densenet", "unit.order=original"), "Concatenate has a state: use unit.order=full_preactivation"),
        (("shortcut=dense", "unit.order=full_preactivation"), "must add channels and keep the size: use net=densenet"),
    ],
)
def test_combination_without_a_meaning_is_refused(words, sentence, resolve):
    with pytest.raises(ConfigError, match=sentence):
        check_buildable(resolve(*words), (1, 8, 8))
