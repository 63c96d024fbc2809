"""Singular values of a unit's Jacobian."""

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from ablate.models import shortcuts
from ablate.probes.signal import measure
from tests.models.networks import resnet
from tests.probes.small import images, measured


def test_singular_values_of_a_unit_that_adds_nothing_are_the_factor():
    network = resnet(8, lambda *shape: shortcuts.Constant(*shape, scale=0.5))
    for _, unit in network.units():
        nn.init.zeros_(unit.residual[4].weight)
    first, *rest = measured(network, size=8, channels=1, classes=10).jacobians
    assert (first.unit, first.shape) == (1, (16, 8, 8))
    assert [first.largest, first.median, first.smallest] == pytest.approx([0.5] * 3)
    assert [one.largest for one in rest] == pytest.approx([0.5, 0.5])


def test_singular_values_are_those_of_one_image_with_the_statistics_of_the_batch():
    network = resnet(8, shortcuts.Identity).double().train()
    x = images(8, 1, 6)
    last = measure(network, x, torch.arange(6)).jacobians[-1]
    inputs, (_, unit) = [], list(network.units())[-1]
    unit.register_forward_pre_hook(lambda _unit, given: inputs.append(given[0].detach()))
    statistics = []
    for norm in (unit.residual[1], unit.residual[4]):
        norm.register_forward_pre_hook(
            lambda _norm, given: statistics.append((given[0].mean((0, 2, 3)), given[0].var((0, 2, 3))))
        )
    network(x)

    def total(one):
        z = unit.residual[0](one)
        for at, norm in enumerate((unit.residual[1], unit.residual[4])):
            mean, variance = (value.detach()[None, :, None, None] for value in statistics[at])
            z = (z - mean) / (variance + norm.eps).sqrt()
            z = z if at else unit.residual[3](torch.relu(z))
        return unit.shortcut(one, z)

    values = torch.linalg.svdvals(jacobian(total, inputs[0][:1]).reshape(256, 512))
    assert (last.largest, last.smallest) == pytest.approx((values[0].item(), values[-1].item()), rel=1e-6)
    assert last.median == pytest.approx(values[128].item(), rel=1e-6)
