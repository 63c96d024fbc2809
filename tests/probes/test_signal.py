"""What is measured of each unit, and a network that stays as it was."""

import copy
import random

import numpy
import pytest
import torch
from torch import nn
from torch.nn import functional

from ablate.base.errors import AblateError
from ablate.models import shortcuts
from ablate.models.network import Network
from ablate.probes import along
from ablate.probes.signal import facts, measure
from tests.models.networks import resnet
from tests.probes.small import SCALES, Three, images, made, measured, weighted


def test_gradient_is_that_of_the_loss_through_everything():
    network = Three(*made(shortcuts.Constant, *SCALES))
    signal = measured(network)
    inputs = []
    for unit in network.parts:
        unit.register_forward_pre_hook(lambda _unit, given: inputs.append(given[0]))
    loss = functional.cross_entropy(network(images().requires_grad_()), torch.arange(6) % 2)
    assert signal.loss == pytest.approx(loss.item())
    for unit, gradient in zip(signal.units, torch.autograd.grad(loss, inputs), strict=True):
        assert unit.gradient == pytest.approx(gradient.norm().item(), rel=1e-12)


def test_mean_squares_of_an_exclusive_gate():
    network = Three(*weighted(shortcuts.ExclusiveGate))
    units = measured(network).units
    x = images()
    for unit, part in zip(units, network.parts, strict=True):
        g, residual = torch.sigmoid(part.h.gate(x)), torch.tanh(part.conv(x))
        squares = [one.square().mean().item() for one in (x, (1 - g) * x, residual, g * residual)]
        assert [unit.x, unit.h, unit.residual, unit.added] == pytest.approx(squares, rel=1e-12)
        open_ = 1 - g
        expected = [
            open_.mean(),
            open_.std(correction=0),
            (open_ < 0.01).double().mean(),
            (open_ > 0.99).double().mean(),
        ]
        gates = unit.gates
        assert [gates.mean, gates.deviation, gates.shut, gates.open] == pytest.approx([one.item() for one in expected])
        x = torch.relu((1 - g) * x + g * residual)


def test_h_has_the_random_numbers_of_the_pass():
    for unit in measured(resnet(8, shortcuts.Dropout), size=8, channels=1, classes=10).units:
        assert unit.added == pytest.approx(unit.residual, rel=1e-9)


def test_channels_that_are_always_zero_are_dead():
    network = resnet(8, shortcuts.Identity)
    relus = {name: module for name, module in network.named_modules() if isinstance(module, nn.ReLU)}
    assert "stages.0.0.residual.2" in relus
    network.stages[0][0].residual[1].bias.data[:4] = -1000
    dead = [unit.dead for unit in measured(network, size=8, channels=1, classes=10).units]
    assert dead == [4 / 32, 0, 0]  # a ReLU in F and one after the sum, of 16 channels each


class Counting(shortcuts.Dropout):
    """Keeps state of every kind, and draws from every generator."""

    def __init__(self, *shape):
        super().__init__(*shape)
        self.calls, self.norm = 0, nn.BatchNorm2d(shape[1])
        self.register_buffer("seen", torch.zeros(()), persistent=False)

    def forward(self, x, residual):
        self.calls += 1
        self.seen += 1
        return super().forward(x, self.norm(residual)) + random.random() * 1e-3 + numpy.random.random() * 1e-3


@pytest.mark.parametrize("training", [True, False])
def test_network_and_generators_are_as_before(training):
    network, x = resnet(14, Counting).train(training), images(8, 1, 4).float()
    weights, torch_state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    python, numbers = random.getstate(), numpy.random.get_state()[1].copy()
    signal = measure(network, x, torch.arange(4))
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    assert all(unit.shortcut.calls == 0 and unit.shortcut.seen == 0 for _, unit in network.units())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(module.training == training and not module._forward_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert random.getstate() == python
    assert (numpy.random.get_state()[1] == numbers).all()
    torch.manual_seed(1)
    random.seed(1)
    numpy.random.seed(1)
    again = measure(network, x, torch.arange(4))
    assert facts(signal) == facts(again)  # whatever the generators were
    assert signal.draws == along.DRAWS


class InPlace(shortcuts.Constant):
    def forward(self, x, residual):
        x += residual
        return x


def test_unit_that_changes_x_in_place_is_refused():
    network = Three(*made(shortcuts.Constant, SCALES[0]), *made(InPlace, *SCALES[1:]))
    with pytest.raises(AblateError, match="One or its shortcut changes x in place"):
        measured(network)


def test_unit_without_shortcut_is_refused():
    network = Three(*made(shortcuts.Constant, *SCALES))
    network.parts[1].forward = lambda x: x
    with pytest.raises(AblateError, match="One calls no shortcut as shortcut"):
        measured(network)


def test_network_without_units_is_refused():
    with pytest.raises(AblateError, match="Network has no residual units"):
        measured(Network())
