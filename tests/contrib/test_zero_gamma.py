"""Units whose F starts at 0."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet50

from ablate.base.errors import ConfigError
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
@pytest.mark.parametrize("order", sorted({*ORDERS} - {"relu_before_addition"}))
def test_first_sum_is_x_in_every_order(unit, order, resolve):
    depth = 8 if unit == "zero_gamma" else 11
    network = build(resolve(f"unit={unit}", f"unit.order={order}", f"depth={depth}"), shape=(1, 8, 8), classes=10)
    found = []
    for _, one in network.units():
        one.shortcut.register_forward_pre_hook(lambda _, given: found.append(given[1]))
    network(torch.randn(4, 1, 8, 8))[:, 0].sum().backward()
    assert len(found) == 3
    assert not any(residual.any() for residual in found)
    assert all(one.residual[-1].weight.grad.any() for _, one in network.units())  # it does not stay so
    last = [one for one in next(network.units())[1].residual if hasattr(one, "weight")][-1]
    assert isinstance(last, nn.Conv2d) == (order in ("bn_after_addition", "full_preactivation"))


@pytest.mark.parametrize("unit", UNITS)
def test_order_in_which_f_would_stay_0_is_refused(unit, resolve):
    depth = 8 if unit == "zero_gamma" else 11
    config = resolve(f"unit={unit}", "unit.order=relu_before_addition", f"depth={depth}")
    with pytest.raises(ConfigError, match=f"unit {unit} cannot be built: F ends in a ReLU, through which no gradient"):
        build(config, shape=(1, 8, 8), classes=10)
