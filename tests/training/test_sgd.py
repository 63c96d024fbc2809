import copy
import math
from typing import ClassVar

import numpy
import pytest
import torch
from torch import nn

from ablate.models.build import build
from ablate.models.shortcuts import Gate
from ablate.training.device import move
from ablate.training.sgd import SGD, groups
from ablate.training.synchronise import synchronise


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_steps_are_those_of_torchs_optimizer_to_the_bit(momentum, nesterov, resolve):
    words = (f"recipe.momentum={momentum}", f"recipe.nesterov={str(nesterov).lower()}", "recipe.weight_decay=0.01")
    recipe = resolve(*words).recipe
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    reference = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))
    reference.load_state_dict(network.state_dict())
    rate = torch.tensor(0.1)
    ours = SGD(network, rate, recipe)
    theirs = torch.optim.SGD(
        reference.parameters(), rate, momentum=momentum, nesterov=nesterov, weight_decay=0.01, fused=True
    )
    for step in range(5):
        rate.fill_(0.1 / (step + 1))
        x = torch.randn(8, 1, 4, 4)
        for model, optimizer in ((network, ours), (reference, theirs)):
            model.zero_grad()
            model(x).square().sum().backward()
            optimizer.step()
    for one, other in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one, other)


def test_parameter_that_is_a_column_of_a_tensor_is_stepped_as_a_whole_one(resolve):
    network = nn.Module()
    network.column, network.whole = nn.Parameter(torch.zeros(4, 2)[:, 0]), nn.Parameter(torch.zeros(4))
    sgd = SGD(network, torch.tensor(1.0), resolve("recipe.momentum=0.9", "recipe.weight_decay=0").recipe)
    for _ in range(2):
        for parameter in network.parameters():
            parameter.grad = torch.arange(4.0)
        sgd.step()
    assert network.column.tolist() == network.whole.tolist() == pytest.approx([0.0, -2.9, -5.8, -8.7])


def test_steps_of_the_shipped_network_are_fused(resolve):
    network = build(resolve("depth=8", "shortcut=gate"), shape=(3, 32, 32), classes=10)
    move(network, torch.device("cpu"))
    assert SGD(network, torch.tensor(1.0), resolve().recipe).fused


@pytest.mark.parametrize("decay_bias", [True, False])
def test_weight_decay_alone_moves_the_bias_of_a_gate_as_worked_out(decay_bias, resolve):
    """32,000 steps of he2016 without a gradient.

    v' = μ v + λ b and b' = b − η v' are a matrix for (b, v), taken to the power of the steps. Roughly, a step
    multiplies b by 1 − η λ / (1 − μ): exp(−400 · 1e-5 − 31,600 · 1e-4) = 0.042 of −6 is left.
    """
    recipe = resolve("recipe=he2016").recipe
    gate = Gate(1, 1, 1, bias_init=-6.0, decay_bias=decay_bias).double()
    rate = torch.tensor(0.01, dtype=torch.float64)
    optimizer = SGD(gate, rate, recipe)
    for parameter in gate.parameters():
        parameter.grad = torch.zeros_like(parameter)
    state = numpy.array([-6.0, 0.0])
    for eta, steps in ((0.01, 400), (0.1, 31_600)):
        rate.fill_(eta)
        for _ in range(steps):
            optimizer.step()
        matrix = numpy.array([[1 - eta * 1e-4, -eta * 0.9], [1e-4, 0.9]])
        state = numpy.linalg.matrix_power(matrix, steps) @ state
    assert state[0] == pytest.approx(-6 * math.exp(-0.004 - 3.16), rel=0.01)
    assert gate.gate.bias.item() == (pytest.approx(state[0], rel=1e-9) if decay_bias else -6)


class Exempt(nn.Module):
    """Exempts a parameter of its own and one of a module within it."""

    no_decay = ("scale", "inner.bias")

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.ones(3))
        self.shift = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.inner(x) * self.scale + self.shift


def test_exempt_parameters_are_those_of_torchs_group_without_decay_to_the_bit(resolve):
    recipe = resolve("recipe.momentum=0.9", "recipe.weight_decay=0.3").recipe
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 3), Exempt())
    reference = nn.Sequential(nn.Linear(3, 3), Exempt())
    reference.load_state_dict(network.state_dict())
    exempt = [reference[1].scale, reference[1].inner.bias]
    decayed = [*reference[0].parameters(), reference[1].inner.weight, reference[1].shift]
    rate = torch.tensor(0.1)
    groups = [{"params": decayed}, {"params": exempt, "weight_decay": 0.0}]
    theirs = torch.optim.SGD(groups, rate, momentum=0.9, weight_decay=0.3, fused=True)
    ours = SGD(network, rate, recipe)
    for _ in range(5):
        x = torch.randn(8, 3)
        for model, optimizer in ((network, ours), (reference, theirs)):
            model.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    for one, other in zip(network.parameters(), reference.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("decay_norm", [True, False])
def test_factors_and_exemptions_are_parameter_groups_of_torchs_optimizer(decay_norm, resolve):
    class Scaled(nn.Module):
        rate_factors: ClassVar = {"scale": 0.1}
        no_decay = ("shift",)

        def __init__(self):
            super().__init__()
            self.scale, self.shift = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.scale * x + self.shift

    recipe = resolve("recipe.weight_decay=0.01", f"recipe.decay_norm={str(decay_norm).lower()}").recipe
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), Scaled(), nn.Flatten(), nn.Linear(16, 3))
    reference = copy.deepcopy(network)
    conv, norm, scaled, _, linear = reference
    usual = [*conv.parameters(), *linear.parameters(), *(norm.parameters() if decay_norm else ())]
    options = [{"params": usual}, {"params": [scaled.scale], "lr": 0.01}]
    options += [{"params": [scaled.shift, *(() if decay_norm else norm.parameters())], "weight_decay": 0}]
    theirs = torch.optim.SGD(options, 0.1, momentum=recipe.momentum, weight_decay=0.01)
    ours = SGD(network, torch.tensor(0.1), recipe)
    for _ in range(5):
        x = torch.randn(8, 1, 4, 4)
        for model, optimizer in ((network, ours), (reference, theirs)):
            model.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    for (name, one), other in zip(network.named_parameters(), reference.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-7), name
    own = {name for name, group in groups(network, recipe).items() if group != (1.0, 0.01)}
    assert own == {"2.scale", "2.shift", *(() if decay_norm else ("1.weight", "1.bias"))}


def test_decay_norm_exempts_torchs_normalisations_and_no_other_class(resolve):
    class NormGate(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

    class Own(nn.BatchNorm2d):
        pass

    network = nn.Sequential(nn.BatchNorm2d(2), nn.GroupNorm(1, 2), nn.LayerNorm(2), nn.RMSNorm(2), Own(2), NormGate())
    recipe = resolve("recipe.decay_norm=false").recipe
    before = {name for name, own in groups(network, recipe).items() if own.weight_decay == 0}
    synchronise(network, torch.device("cpu"))  # gives batch normalisation another class
    after = {name for name, own in groups(network, recipe).items() if own.weight_decay == 0}
    assert before == after == {name for name, _ in network.named_parameters()} - {"5.scale"}
