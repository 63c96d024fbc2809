"""DiracNet against its equation, and its initial values."""

import pytest
import torch
from torch.nn import functional

from ablate.contrib.dirac import DiracConv
from ablate.models.build import build, no_decay
from tests.contrib.slow import compare


def made(resolve, *words, shape=(1, 8, 8)):
    return build(resolve("net=diracnet", *words), shape=shape, classes=10)


def dirac(slow, name, x):
    """Eq. 4 of the paper: filters diag(a) I + diag(b) W/‖W‖, number by number."""
    weight, a, b = (slow.p[f"{name}.{key}"] for key in ("weight", "a", "b"))
    filters = []
    for out, one in enumerate(weight):
        identity = torch.zeros_like(one)
        if out < one.shape[0]:
            identity[out, 1, 1] = 1
        filters.append(a[out].squeeze() * identity + b[out].squeeze() * one / (one**2).sum().sqrt())
    return functional.conv2d(x, torch.stack(filters), padding=1)


def forward(slow, x):
    x = slow.bn("stem.1", slow.conv("stem.0", x)).relu()
    for stage in range(3):
        if stage:
            x = functional.max_pool2d(x, 2)
        for number in range(2):
            at = 1 if stage and not number else 0  # after the pooling
            unit = f"stages.{stage}.{number}.residual"
            x = slow.bn(f"{unit}.{at + 1}", dirac(slow, f"{unit}.{at}", x.relu()))
            x = slow.bn(f"{unit}.{at + 4}", dirac(slow, f"{unit}.{at + 3}", x.relu()))
    return slow.head(x.relu())


def test_network_is_that_of_the_equations(resolve):
    compare(made(resolve, "depth=14"), forward)


def test_odd_sizes_are_rounded_up_as_by_a_strided_convolution(resolve):
    network = made(resolve, "depth=8", shape=(1, 9, 11))
    shapes = []
    network.stages.register_forward_hook(lambda _, __, y: shapes.append(y.shape[2:]))
    network(torch.randn(2, 1, 9, 11))
    assert shapes == [(3, 3)]


@pytest.mark.parametrize("channels", [(4, 4), (3, 5), (5, 3)])
def test_convolution_starts_near_the_identity(channels):
    conv = DiracConv(*channels)
    assert (conv.a == 1).all() & (conv.b == 0.1).all()
    conv.b.data.zero_()
    x = torch.randn(2, channels[0], 6, 6)
    y, same = conv(x), min(channels)
    assert y[:, :same].equal(x[:, :same])
    assert not y[:, same:].any()


def test_weight_decay_leaves_the_multipliers_alone(resolve):
    network = made(resolve, "depth=8")
    free = {name for name, one in network.named_parameters() if one in no_decay(network)}
    assert free == {name for name, _ in network.named_parameters() if name.endswith((".a", ".b"))}
    assert len(free) == 12
