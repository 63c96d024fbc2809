from functools import partial

import pytest
import torch
from torch import nn

from ablate.models.build import build
from ablate.models.shortcuts import Identity
from tests.models.networks import resnet

SHORTCUTS = ["none", "constant", "gate", "gate shortcut.weight_init=he", "exclusive_gate", "conv1x1", "dropout"]


def weights(network):
    return {key: value for key, value in network.state_dict().items() if ".shortcut." not in key}


@pytest.mark.parametrize("name", SHORTCUTS)
def test_networks_that_differ_in_the_shortcut_start_from_the_same_f(name, resolve):
    one = weights(build(resolve("depth=8", "seed=3"), shape=(1, 8, 8), classes=10))
    other = weights(build(resolve("depth=8", "seed=3", *f"shortcut={name}".split()), shape=(1, 8, 8), classes=10))
    assert one.keys() == other.keys()
    assert all(one[key].equal(other[key]) for key in one)


def test_seed_decides_all_initial_weights(resolve):
    def first(seed):
        config = resolve("depth=8", "shortcut=gate", "shortcut.weight_init=he", seed)
        return dict(build(config, shape=(1, 8, 8), classes=10).named_parameters())

    one, again, other = first("seed=3"), first("seed=3"), first("seed=4")
    assert all(one[key].equal(again[key]) for key in one)
    drawn = [key for key, value in one.items() if value.ndim > 1]
    assert len(drawn) == 1 + 6 + 3 + 1  # stem, F, gates, head
    assert not any(one[key].equal(other[key]) for key in drawn)


def test_weights_do_not_depend_on_the_global_generator(resolve):
    networks = []
    for state in (1, 2):
        torch.manual_seed(state)
        networks.append(build(resolve("depth=8", "shortcut=conv1x1"), shape=(1, 8, 8), classes=10).state_dict())
    assert all(networks[0][key].equal(networks[1][key]) for key in networks[0])


def test_convolutions_are_he_initialised_by_fan_out():
    torch.manual_seed(0)
    network = resnet(20, Identity, in_channels=3, classes=10)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 19
    for conv in convolutions:
        weight, wanted = conv.weight, (2 / (conv.out_channels * 9)) ** 0.5
        # five standard errors of a standard deviation; fan-in would be off by 1.4 where the width doubles
        assert weight.std().item() == pytest.approx(wanted, rel=5 / (2 * weight.numel()) ** 0.5)
        assert abs(weight.mean().item()) < 5 * wanted / weight.numel() ** 0.5


def test_head_starts_with_variance_one_over_fan_in_and_no_bias():
    torch.manual_seed(0)
    head = resnet(8, Identity, in_channels=1, classes=1000).head
    assert head.weight.std().item() == pytest.approx(64**-0.5, rel=5 / (2 * head.weight.numel()) ** 0.5)
    assert not head.bias.any()


def test_resolution_is_halved_twice_and_width_doubled():
    network = resnet(14, Identity, in_channels=3, classes=7).eval()
    x, shapes = network.stem(torch.randn(2, 3, 16, 16)), []
    for stage in network.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert network.head(x.sum((2, 3)) / 16).shape == (2, 7)


def test_head_reads_the_average_of_the_last_stage():
    network = resnet(8, Identity, in_channels=1, classes=3).eval()
    last = []
    network.stages.register_forward_hook(lambda *call: last.append(call[-1]))
    logits = network(torch.randn(2, 1, 8, 8))
    average = last[0].sum((2, 3)) / 4
    torch.testing.assert_close(logits, torch.einsum("kc,nc->nk", network.head.weight, average) + network.head.bias)


def test_pooling_and_head_are_in_float32_under_autocast():
    network = resnet(8, Identity, in_channels=1, classes=3).eval()
    last = []
    network.stages.register_forward_hook(lambda *call: last.append(call[-1]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = network(torch.randn(2, 1, 8, 8))
    assert logits.dtype == torch.float32
    average = last[0].double().sum((2, 3)) / 4
    exact = average @ network.head.weight.double().T + network.head.bias.double()
    torch.testing.assert_close(logits.double(), exact, rtol=1e-5, atol=1e-5)  # bfloat16 rounds at 4e-3


@pytest.mark.parametrize("depth", [2, 9, 111])
def test_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match="not 6n"):
        resnet(depth, Identity, in_channels=1, classes=10)


def test_units_are_in_the_order_of_the_forward_pass_with_their_stage():
    network, called = resnet(20, Identity, in_channels=1, classes=3).eval(), []
    for _, unit in network.units():
        unit.register_forward_hook(lambda unit, *_: called.append(unit))
    network(torch.randn(1, 1, 8, 8))
    assert [stage for stage, _ in network.units()] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert all(unit is other for (_, unit), other in zip(network.units(), called, strict=True))


def test_width_may_be_a_fraction():
    """Highway-110 of github.com/flukeskywalker/highway-resnet-comparison has 0.875 times the channels of ResNet-110."""
    network = resnet(8, partial(Identity, option="B"), width=0.875)
    assert [unit.residual[0].out_channels for _, unit in network.units()] == [14, 28, 56]
    assert network.stem[0].out_channels == 16
    with pytest.raises(ValueError, match="option A cannot go from 16 to 14 channels: use option B"):
        resnet(8, Identity, width=0.875)
