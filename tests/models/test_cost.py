import functools

import pytest

from ablate.models.cost import multiply_adds, parameters
from ablate.models.resnet import ResNet
from ablate.models.shortcuts import Conv1x1, Identity

TABLE_6 = {20: 269_722, 32: 464_154, 44: 658_586, 56: 853_018, 110: 1_727_962, 1202: 19_421_274}


@pytest.mark.parametrize(("depth", "count"), TABLE_6.items())
def test_parameters_are_those_of_table_6_to_the_digit(depth, count):
    assert parameters(ResNet(depth, Identity, in_channels=3, classes=10)) == count


def test_multiply_adds_of_depth_20_on_32x32x3():
    # stem                                 32·32·16 ·  3·9             =    442,368
    # stage 1   6 convolutions        6 ·  32·32·16 · 16·9             = 14,155,776
    # stage 2   the first, stride 2        16·16·32 · 16·9 = 1,179,648
    #           five more             5 ·  16·16·32 · 32·9 = 11,796,480 = 12,976,128 together
    # stage 3   the first, stride 2          8·8·64 · 32·9 = 1,179,648
    #           five more             5 ·    8·8·64 · 64·9 = 11,796,480 = 12,976,128 together
    # linear                                     10 · 64               =        640
    net = ResNet(20, Identity, in_channels=3, classes=10)
    assert multiply_adds(net, (3, 32, 32)) == 40_551_040


def test_a_convolution_on_the_shortcut_is_counted():
    plain, convolved = (ResNet(8, h, in_channels=1, classes=10) for h in (Identity, Conv1x1))
    # 1x1 weights: 16·16, 16·32 and 32·64; applied at 8x8, 4x4 and 2x2 positions.
    assert parameters(convolved) - parameters(plain) == 256 + 512 + 2048
    extra = multiply_adds(convolved, (1, 8, 8)) - multiply_adds(plain, (1, 8, 8))
    assert extra == 64 * 256 + 16 * 512 + 4 * 2048


def test_normalisation_on_the_shortcut_adds_a_scale_and_a_shift_a_channel():
    bare, normed = (
        ResNet(8, functools.partial(Conv1x1, norm=norm), in_channels=1, classes=10) for norm in (False, True)
    )
    assert parameters(normed) - parameters(bare) == 2 * (16 + 32 + 64)


@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_net_as_it_was(training):
    net = ResNet(8, Identity, in_channels=1, classes=10).train(training)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    multiply_adds(net, (1, 8, 8))
    assert net.training is training
    assert all(value.equal(before[key]) for key, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
