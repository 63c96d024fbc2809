"""Normaliser-free networks against their equations, and the variances that they expect."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from ablate.base.errors import ConfigError
from ablate.contrib.normfree import GAMMA, StandardConv
from ablate.models.build import build, check_buildable, no_decay
from tests.contrib.slow import compare

# β² of two units in each of three stages, α = 0.2: 0.04 more after each unit, 1.04 after the first of a stage
SQUARES = [1.0, 1.04, 1.08, 1.04, 1.08, 1.04]


def made(resolve, *words, shape=(1, 8, 8)):
    return build(resolve("net=nf_resnet", *words), shape=shape, classes=10)


def standard(p, name, x, stride=1):
    """A convolution by filters of mean 0 and squared norm g², one by one (2102.06171, eq. 1)."""
    weight = p[f"{name}.weight"]
    filters = []
    for one, gain in zip(weight, p[f"{name}.gain"].flatten(), strict=True):
        centred = one - one.sum() / one.numel()
        filters.append(gain * centred / (centred**2).sum().sqrt())
    return functional.conv2d(x, torch.stack(filters), p[f"{name}.bias"], stride, weight.shape[-1] // 2)


def act(x):
    """By the variance of a rectified normal number, 1/2 − 1/(2π)."""
    return x.clamp(min=0) / (1 / 2 - 1 / (2 * math.pi)) ** 0.5


def forward(slow, x):
    p, squares = slow.p, iter(SQUARES)
    x = standard(p, "stem", x)
    for stage in range(3):
        for number in range(2):
            unit, stride = f"stages.{stage}.{number}", 2 if stage and not number else 1
            given = act(x) / next(squares) ** 0.5
            f = standard(p, f"{unit}.residual.2", act(standard(p, f"{unit}.residual.0", given, stride)))
            h = standard(p, f"{unit}.shortcut.match", given, 2) if stride == 2 else x
            x = h + 0.2 * p[f"{unit}.gain"] * f
    return slow.head(act(x))


def test_network_is_that_of_the_equations(resolve):
    compare(made(resolve, "depth=14"), forward)


def test_expected_variance_is_that_of_the_signal(resolve):
    """With s = 1 and wide layers, up to chance and the zeros around images."""
    network = made(resolve, "depth=14", "width=8", shape=(16, 32, 32))
    seen = []
    for _, unit in network.units():
        unit.gain.data.fill_(1)
        unit.register_forward_pre_hook(lambda unit, given: seen.append((given[0].var().item(), unit.beta**2)))
    network(torch.randn(8, 16, 32, 32))
    assert [square for _, square in seen] == pytest.approx(SQUARES)
    assert all(variance == pytest.approx(square, rel=0.15) for variance, square in seen), seen


def test_initial_values_are_those_of_the_release(resolve):
    network = made(resolve, "depth=8", "width=4")
    assert pytest.approx(1.7139588594436646, rel=1e-3) == GAMMA  # nfnets/base.py, from samples
    for _, unit in network.units():
        assert unit.gain == 0
        assert (unit.alpha, unit.norm) == (0.2, False)
    convolutions = [one for one in network.modules() if isinstance(one, nn.Conv2d)]
    assert len(convolutions) == 1 + 6 + 3  # width 4 changes the shape in the first unit too
    for one in convolutions:
        assert isinstance(one, StandardConv)
        assert (one.gain == 1).all() & (one.bias == 0).all()
        count = one.weight.numel()
        assert one.weight.std().item() == pytest.approx(one.weight[0].numel() ** -0.5, rel=5 / (2 * count) ** 0.5)
    assert network.head.weight.std().item() == pytest.approx(0.01, rel=5 / (2 * network.head.weight.numel()) ** 0.5)
    assert not network.head.bias.any()


def test_weight_decay_leaves_gains_and_biases_alone(resolve):
    network = made(resolve, "depth=8")
    free = {name for name, one in network.named_parameters() if one in no_decay(network)}
    assert free == {name for name, _ in network.named_parameters() if name.endswith(("gain", "bias"))}


def test_filter_that_hardly_varies_is_not_blown_up():
    """nfnets/base.py: n · var(W) is at least 1e-4, so a filter of variance 1e-8 is multiplied by 100."""
    conv = StandardConv(1, 1, 3)
    conv.weight.data = torch.tensor([[[[1, -1, 1], [-1, 0, 1], [-1, 1, -1]]]]) * 1e-4
    y = conv(torch.eye(3).flip(0)[None, None])
    assert y[0, 0, 1, 1].item() == pytest.approx(100 * (1e-4 + 0 - 1e-4))
    y = conv(torch.ones(1, 1, 3, 3).triu())
    assert y[0, 0, 1, 1].item() == pytest.approx(100 * 1e-4 * (1 - 1 + 1 + 0 + 1 - 1))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("net=nf_resnet", "unit=basic"), "net nf_resnet cannot be built: its units must be NormFree"),
        (("unit=normfree", "depth=8"), "needs the expected variance of x: use net=nf_resnet"),
        (("net=nf_resnet", "unit.alpha=0.0"), "unit.alpha=0.0 is invalid: it must be above 0"),
    ],
)
def test_combination_without_a_meaning_is_refused(words, sentence, resolve):
    with pytest.raises(ConfigError, match=sentence):
        check_buildable(resolve(*words), (1, 8, 8))
