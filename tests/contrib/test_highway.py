"""The gates of the highway network; its equation is in test_networks.py."""

import pytest
import torch

from ablate.contrib.highway import Highway
from ablate.models.build import build
from ablate.models.cost import parameters
from tests.models.test_shortcuts import CHANGE, EQUAL


@pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])
def test_gates_start_shut_wherever_their_input_is_average(shape):
    h = Highway(*shape).eval()
    assert (h.gate[-1].bias == -6).all()
    h.gate[0].weight.data.zero_()  # then BN gives its bias: T = σ(−6)
    residual = torch.ones(2, shape[1], 8 // shape[2], 8 // shape[2])
    x = torch.zeros(2, shape[0], 8, 8)
    torch.testing.assert_close(h(x, residual), torch.full_like(residual, 0.0024726231566))
    torch.testing.assert_close(h(x, -residual), torch.zeros_like(residual))


def test_network_of_110_layers_has_twice_the_parameters_in_f(resolve):
    """By hand: of the 1,727,962 of a ResNet of option A, 1,726,848 are in F, and a gate has as many as F. Option B adds
    16·32 + 2·32 and 32·64 + 2·64.
    """
    network = build(resolve("depth=110", "shortcut=highway"), shape=(3, 32, 32), classes=10)
    assert parameters(network) == 1_727_962 + 1_726_848 + 576 + 2_176


def test_network_of_the_release_has_the_parameters_that_its_log_states(resolve):
    """flukeskywalker/highway-resnet-comparison, log_highway110/metrics.json: width_mult 0.875."""
    words = ("depth=110", "width=0.875", "shortcut=highway", "unit.order=relu_before_addition")
    assert parameters(build(resolve(*words), shape=(3, 32, 32), classes=10)) == 2_649_918
