import pytest
import torch
from torch import nn

from ablate.models import build
from ablate.models.resnet import ResNet
from ablate.models.shortcuts import Identity

NETS = ["identity", "none", "constant", "gate", "exclusive_gate", "conv1x1", "dropout"]


def weights(net):
    return {key: value for key, value in net.state_dict().items() if ".shortcut." not in key}


@pytest.mark.parametrize("name", NETS)
def test_nets_that_differ_in_the_shortcut_alone_start_from_the_same_f(name, resolve):
    one = weights(build(resolve("depth=8", "seed=3"), channels=1, classes=10))
    other = weights(build(resolve("depth=8", "seed=3", f"shortcut={name}"), channels=1, classes=10))
    assert one.keys() == other.keys()
    assert all(one[key].equal(other[key]) for key in one)


def test_the_same_seed_draws_the_same_shortcut_and_another_seed_another_net(resolve):
    def first(seed):
        return dict(build(resolve("depth=8", "shortcut=gate", seed), channels=1, classes=10).named_parameters())

    one, again, other = first("seed=3"), first("seed=3"), first("seed=4")
    assert all(one[key].equal(again[key]) for key in one)
    drawn = [key for key, value in one.items() if value.ndim > 1]
    assert len(drawn) == 1 + 6 + 3 + 1  # stem, F, gates, head
    assert not any(one[key].equal(other[key]) for key in drawn)


def test_the_global_generator_does_not_decide_the_weights(resolve):
    nets = []
    for state in (1, 2):
        torch.manual_seed(state)
        nets.append(build(resolve("depth=8", "shortcut=gate"), channels=1, classes=10).state_dict())
    assert all(nets[0][key].equal(nets[1][key]) for key in nets[0])


def test_convolutions_start_from_he_initialisation_by_fan_out():
    net = ResNet(20, Identity, in_channels=3, classes=10, generator=torch.Generator().manual_seed(0))
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 19
    for conv in convolutions:
        weight, wanted = conv.weight, (2 / (conv.out_channels * 9)) ** 0.5
        # five standard errors of a standard deviation; fan-in would be off by 1.4 where the width doubles
        assert weight.std().item() == pytest.approx(wanted, rel=5 / (2 * weight.numel()) ** 0.5)
        assert abs(weight.mean().item()) < 5 * wanted / weight.numel() ** 0.5


def test_the_net_halves_the_resolution_twice_and_doubles_the_width():
    net = ResNet(14, Identity, in_channels=3, classes=7).eval()
    x, shapes = net.stem(torch.randn(2, 3, 16, 16)), []
    for stage in net.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(16, 16, 16), (32, 8, 8), (64, 4, 4)]
    assert net.head(x.sum((2, 3)) / 16).shape == (2, 7)


def test_the_head_reads_the_average_of_the_last_stage():
    net = ResNet(8, Identity, in_channels=1, classes=3).eval()
    last = []
    net.stages.register_forward_hook(lambda *call: last.append(call[-1]))
    logits = net(torch.randn(2, 1, 8, 8))
    average = last[0].sum((2, 3)) / 4
    torch.testing.assert_close(logits, torch.einsum("kc,nc->nk", net.head.weight, average) + net.head.bias)


@pytest.mark.parametrize("depth", [2, 9, 110 + 1])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth):
    with pytest.raises(ValueError, match="not 6n"):
        ResNet(depth, Identity, in_channels=1, classes=10)
