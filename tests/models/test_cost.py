import functools
import subprocess
import sys

import pytest
import torch
from torch import nn

from ablate.config.files import options
from ablate.models.build import build
from ablate.models.cost import BETWEEN, Cost, costs, multiply_adds, parameters
from ablate.models.shortcuts import Conv1x1, Identity, match_shape
from ablate.models.units import Bottleneck
from tests.contrib.words import STATEFUL, words
from tests.models.networks import resnet

TABLE_6 = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}


@pytest.mark.parametrize(("depth", "count"), TABLE_6.items())
def test_parameters_are_those_of_table_6(depth, count):
    assert parameters(resnet(depth, Identity, in_channels=3, classes=10)) == count


@pytest.mark.parametrize(("depth", "millions"), [(164, "1.7"), (1001, "10.2")])
def test_parameters_of_preactivated_bottlenecks_are_those_of_b(depth, millions):
    """[B]'s 1.7 M and 10.2 M are without batch normalisation, which is counted apart here."""
    count, norms, channels = 3 * 9 * 16, 0, 16
    for inner in (16, 32, 64):
        for unit in range((depth - 2) // 9):
            norms += 2 * channels + 2 * inner + 2 * inner  # the first one stands right after the first convolution
            count += channels * inner + 9 * inner**2 + inner * 4 * inner
            if unit == 0:  # the shape changes: 1×1, normalised as in the release of [A]
                count += channels * 4 * inner
                norms += 2 * 4 * inner
            channels = 4 * inner
    count += channels * 10 + 10
    norms += 2 * channels
    unit = functools.partial(Bottleneck, order="full_preactivation")
    unit.sizes, unit.expansion = Bottleneck.sizes, Bottleneck.expansion
    found = parameters(resnet(depth, functools.partial(Identity, option="B"), in_channels=3, unit=unit))
    assert found == count + norms
    assert f"{count / 1e6:.1f}" == millions


def test_multiply_adds_of_depth_20_on_32x32x3():
    # stem                                 32·32·16 ·  3·9             =    442,368
    # stage 1   6 convolutions        6 ·  32·32·16 · 16·9             = 14,155,776
    # stage 2   the first, stride 2        16·16·32 · 16·9 = 1,179,648
    #           five more             5 ·  16·16·32 · 32·9 = 11,796,480 = 12,976,128 together
    # stage 3   the first, stride 2          8·8·64 · 32·9 = 1,179,648
    #           five more             5 ·    8·8·64 · 64·9 = 11,796,480 = 12,976,128 together
    # linear                                     10 · 64               =        640
    network = resnet(20, Identity, in_channels=3, classes=10)
    assert multiply_adds(network, (3, 32, 32)) == 40_551_040


def test_convolution_on_the_shortcut_is_counted():
    plain, convolved = (resnet(8, h, in_channels=1, classes=10) for h in (Identity, Conv1x1))
    # 1x1 weights: 16·16, 16·32 and 32·64; applied at 8x8, 4x4 and 2x2 positions.
    assert parameters(convolved) - parameters(plain) == 256 + 512 + 2048
    extra = multiply_adds(convolved, (1, 8, 8)) - multiply_adds(plain, (1, 8, 8))
    assert extra == 64 * 256 + 16 * 512 + 4 * 2048


def test_normalisation_on_the_shortcut_adds_two_parameters_a_channel():
    bare, normed = (
        resnet(8, functools.partial(Conv1x1, norm=norm), in_channels=1, classes=10) for norm in (False, True)
    )
    assert parameters(normed) - parameters(bare) == 2 * (16 + 32 + 64)


def by_modules(network, shape):
    """Multiply-adds of convolutions and linear layers, from their outputs: each number is a sum over one filter."""
    found = []
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(
                lambda layer, _, output: found.append(output[0].numel() * layer.weight[0].numel())
            )
    network.eval()(torch.zeros(1, *shape))
    return sum(found)


@pytest.mark.parametrize("name", [name for name in options("shortcut") if name not in STATEFUL])
def test_multiply_adds_are_those_of_its_layers(name, resolve):
    network = build(resolve(*words("shortcut", name)), shape=(3, 32, 32), classes=10)
    assert multiply_adds(network, (3, 16, 16)) == by_modules(network, (3, 16, 16))


class Mixing(nn.Module):
    """y = W x + F(x), with W x as an einsum or a matrix product."""

    def __init__(self, in_channels, out_channels, stride, *, kind):
        super().__init__()
        self.match, self.kind = match_shape(in_channels, out_channels, stride, "A"), kind
        self.weight = nn.Parameter(torch.eye(out_channels))

    def forward(self, x, residual):
        x = self.match(x)
        if self.kind == "einsum":
            return torch.einsum("oc,nchw->nohw", self.weight, x) + residual
        return (self.weight @ x.flatten(2)).reshape(x.shape) + residual


@pytest.mark.parametrize("kind", ["einsum", "matmul"])
def test_matrix_products_of_a_custom_shortcut_are_counted(kind):
    plain, mixing = (resnet(8, h, in_channels=1, classes=10) for h in (Identity, functools.partial(Mixing, kind=kind)))
    extra = multiply_adds(mixing, (1, 8, 8)) - multiply_adds(plain, (1, 8, 8))
    assert extra == 64 * 16 * 16 + 16 * 32 * 32 + 4 * 64 * 64  # positions, channels squared


@pytest.mark.parametrize("training", [True, False])
def test_counting_does_not_change_the_network(training):
    network = resnet(8, Identity, in_channels=1, classes=10).train(training)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    multiply_adds(network, (1, 8, 8))
    assert network.training is training
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())


class Widening(nn.Module):
    """y = x + F(x) by operations with keyword arguments, which the counter has to pass on."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, "A")

    def forward(self, x, residual):
        wide = torch.ones_like(x, dtype=torch.float64).sum(1, dtype=torch.float64)
        assert wide.dtype == torch.float64
        return torch.add(self.match(x), residual, alpha=1)


def test_keyword_arguments_of_operations_are_passed_on():
    network = resnet(8, Widening, in_channels=1, classes=10)
    assert multiply_adds(network, (1, 8, 8)) == by_modules(network, (1, 8, 8))


def test_counting_does_not_import_dynamo():
    script = """
import sys, torch
from ablate.models.cost import multiply_adds
multiply_adds(torch.nn.Linear(4, 2), (3, 5, 4))
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_counting_keeps_no_activations():
    enabled = []

    class Spy(Identity):
        def forward(self, x, residual):
            enabled.append(torch.is_grad_enabled())
            return super().forward(x, residual)

    multiply_adds(resnet(8, Spy, in_channels=1, classes=10), (1, 8, 8))
    assert enabled == [False] * 3


def test_costs_of_parts_of_depth_8():
    """Activations, by tensors of float32 (4 bytes) that the forward pass keeps.

    The stem: the image, the convolution's output, the activation. A unit: the outputs of two convolutions, the
    activation between them, the one after the addition. The head: the pooled maps. Each has half the size of the one
    in the stage before: twice the channels, a quarter of the positions.
    """
    network = resnet(8, Identity, in_channels=3, classes=10)
    found = costs(network, (3, 16, 16))
    convolutions = {"stage 1": 16**2 * 2 * 9 * 16 * 16, "stage 2": 8**2 * 9 * (16 * 32 + 32 * 32)}
    assert found == {
        "stem": Cost(27 * 16 + 2 * 16, 16**2 * 27 * 16, 4 * 16**2 * (3 + 16 + 16)),
        "stage 1": Cost(2 * (9 * 16 * 16 + 2 * 16), convolutions["stage 1"], 4 * 4 * 16**2 * 16),
        "stage 2": Cost(9 * (16 * 32 + 32 * 32) + 4 * 32, convolutions["stage 2"], 4 * 4 * 8**2 * 32),
        "stage 3": Cost(9 * (32 * 64 + 64 * 64) + 4 * 64, convolutions["stage 2"], 4 * 4 * 4**2 * 64),
        "head": Cost(64 * 10 + 10, 64 * 10, 4 * 64),
    }
    assert sum(cost.parameters for cost in found.values()) == parameters(network)
    assert sum(cost.multiply_adds for cost in found.values()) == multiply_adds(network, (3, 16, 16))


def test_activations_of_lenet5(resolve):
    """The image, each tanh and each pooled map; an image of 8×8 is kept as the resized one."""
    network = build(resolve("net=lenet5"), shape=(1, 8, 8), classes=10)
    floats = {"c1": 32**2 + 6 * 28**2, "c3": 6 * 14**2 + 16 * 10**2, "c5": 16 * 5**2 + 120, "f6": 84}
    found = {name: cost.activation_bytes for name, cost in costs(network, (1, 8, 8)).items()}
    assert found == {**{name: 4 * count for name, count in floats.items()}, "output": 0}


class Between(nn.Module):
    """A matrix product and a squared map outside all children."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 5, bias=False)
        self.second = nn.Parameter(torch.ones(5, 2))

    def forward(self, x):
        return (self.first(x.flatten(1)) ** 2) @ self.second


def test_what_is_in_no_part_is_counted_between_them():
    found = costs(Between(), (1, 2, 3))
    # The square keeps its input, which Linear gave, and the product its own.
    assert found == {"first": Cost(30, 30, 4 * 6), BETWEEN: Cost(10, 10, 4 * (5 + 5))}
