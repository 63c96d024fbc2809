"""DeepNorm's scales; its equation is in test_networks.py."""

import pytest
import torch

from ablate.contrib.deepnorm import DeepNorm
from ablate.models.build import build
from ablate.models.connection import Position
from tests.models.test_shortcuts import CHANGE, EQUAL, pad, sample


@pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])
def test_x_is_scaled_by_the_fourth_root_of_the_sums(shape):
    """Twelve layers of a transformer have 24 sums and α = (2 · 12)^(1/4) = 2.2133638."""
    h = DeepNorm(*shape, position=Position(3, 24, 1, 3)).double()
    x, residual, _ = sample(shape)
    wanted = 2.2133638394006433 * pad(h, x, shape[1], shape[2]) + residual
    torch.testing.assert_close(h(x, residual), wanted, rtol=1e-12, atol=1e-12)


def test_initial_weights_of_f_are_those_of_a_basic_unit_scaled_down(resolve):
    """Six units are three layers, and (8 · 3)^(1/4) = 2.2133638."""
    words = ("depth=14", "shortcut=deepnorm", "unit.order=bn_after_addition")
    ours, basic = (
        build(resolve(*words, f"unit={unit}"), shape=(1, 8, 8), classes=10) for unit in ("deepnorm", "basic")
    )
    pairs = zip(ours.named_parameters(), basic.named_parameters(), strict=True)
    for (name, one), (_, other) in pairs:
        scale = 2.2133638394006433 if ".residual." in name and one.ndim == 4 else 1
        torch.testing.assert_close(one * scale, other)
    assert sum(".residual." in name and one.ndim == 4 for name, one in ours.named_parameters()) == 12
