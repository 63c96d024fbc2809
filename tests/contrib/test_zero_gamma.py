"""Units whose F starts at 0."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet50

from ablate.models.build import build
from ablate.models.units import ORDERS

UNITS = {"zero_gamma": (("net=resnet18", "unit=zero_gamma"), resnet18),
         "zero_gamma_bottleneck": (("net=resnet50", "unit=zero_gamma_bottleneck"), resnet50)}  # fmt: skip


def zeroed(network):
    """The shapes of what is 0 at the start, in the order of the forward pass, without biases and counters."""
    return [
        tuple(value.shape)
        for name, value in network.named_parameters()
        if name.endswith("weight") and value.ndim and not value.any()
    ]


@pytest.mark.parametrize("unit", UNITS)
def test_same_layers_start_at_zero_as_in_torchvision(unit, resolve):
    words, theirs = UNITS[unit]
    network = build(resolve(*words), shape=(3, 32, 32), classes=10)
    assert zeroed(network) == zeroed(theirs(zero_init_residual=True)) != []


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("order", ORDERS)
def test_first_sum_is_x_in_every_order(unit, order, resolve):
    depth = 8 if unit == "zero_gamma" else 11
    network = build(resolve(f"unit={unit}", f"unit.order={order}", f"depth={depth}"), shape=(1, 8, 8), classes=10)
    found = []
    for _, one in network.units():
        one.shortcut.register_forward_pre_hook(lambda _, given: found.append(given[1]))
    network(torch.randn(4, 1, 8, 8)).sum()
    assert len(found) == 3
    assert not any(residual.any() for residual in found)
    last = [one for one in next(network.units())[1].residual if hasattr(one, "weight")][-1]
    assert isinstance(last, nn.Conv2d) == (order in ("bn_after_addition", "full_preactivation"))
