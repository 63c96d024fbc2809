"""The networks for ImageNet against torchvision's and against [A] Table 1."""

import pytest
import torch
import torchvision
from torch.nn import functional

from ablate.base.errors import ConfigError
from ablate.models.build import build
from ablate.models.cost import multiply_adds, parameters

NAMES = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
TABLE_1 = {"plain18": 1.8, "resnet18": 1.8, "plain34": 3.6, "resnet34": 3.6, "resnet101": 7.6, "resnet152": 11.3}
"""Billion multiply-adds. ResNet-50 has a test of its own."""


@pytest.fixture
def network(resolve):
    return lambda *words: build(resolve(*words), shape=(3, 224, 224), classes=1000)


def metadata(name):
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    return weights.meta["num_params"], weights.meta["_ops"]


def same_weights(name, network):
    """The network of torchvision with random weights and statistics, copied to ours: both list tensors in one order."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor, low, high in (("weight", 0.5, 1), ("bias", -0.3, 0.3), ("running_mean", -0.3, 0.3)):
                getattr(module, tensor).data.uniform_(low, high)
            module.running_var.uniform_(0.5, 2)
    ours, wanted = network.state_dict(), theirs.state_dict()
    assert [one.shape for one in ours.values()] == [one.shape for one in wanted.values()]
    network.load_state_dict(dict(zip(ours, wanted.values(), strict=True)))
    return theirs


@pytest.mark.parametrize("name", [*NAMES[:3], *(pytest.param(name, marks=pytest.mark.long) for name in NAMES[3:])])
def test_outputs_and_gradients_are_torchvisions(name, network):
    ours = network(f"net={name}")
    theirs = same_weights(name, ours)
    x = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=1e-5, atol=1e-5)
    labels, slopes = torch.tensor([3, 700]), []
    for one in (ours, theirs):  # float64: sums over a batch of two are ill-conditioned
        loss = functional.cross_entropy(one.double().train()(x.double()), labels)
        slopes.append(torch.autograd.grad(loss, [*one.parameters()]))
    for mine, other in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-12)
    assert all(a.equal(b) for a, b in zip(ours.buffers(), theirs.buffers(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_cost_is_that_of_torchvisions_metadata(name, network):
    count, billions = metadata(name)
    one = network(f"net={name}")
    assert parameters(one) == count
    assert multiply_adds(one, (3, 224, 224)) / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize("name", TABLE_1)
def test_multiply_adds_are_those_of_table_1(name, network):
    """The Caffe release of [A] has the stride in the first 1x1; [A] prints two digits, which may be cut off."""
    words = ["unit.stride_in=1x1"] if name in ("resnet101", "resnet152") else []
    found = multiply_adds(network(f"net={name}", *words), (3, 224, 224)) / 1e9
    assert found == pytest.approx(TABLE_1[name], rel=0.02)


def test_resnet_50_has_3_86_billion_multiply_adds_where_the_paper_prints_3_8(network):
    """On paper: 118 M of the stem, stages of 667, 1031, 1464 and 809 M with strides in the first 1x1, 2 M of the head.

    The 3x3 with the stride, as in torchvision, is 6 % more: 1x1 convolutions before it are at four times the positions.
    """

    def stage(units, inner, into, side):
        first = side**2 * (into * inner + 9 * inner**2 + 4 * inner**2 + 4 * inner * into)
        return first + (units - 1) * side**2 * (8 * inner**2 + 9 * inner**2)

    stages = [stage(3, 64, 64, 56), stage(4, 128, 256, 28), stage(6, 256, 512, 14), stage(3, 512, 1024, 7)]
    wanted = 112**2 * 64 * 147 + sum(stages) + 2048 * 1000
    assert multiply_adds(network("net=resnet50", "unit.stride_in=1x1"), (3, 224, 224)) == wanted
    assert round(wanted / 1e9, 2) == 3.86
    assert multiply_adds(network("net=resnet50"), (3, 224, 224)) / wanted == pytest.approx(1.06, abs=0.005)


def test_option_a_has_no_parameters_and_option_c_a_projection_in_every_unit(network):
    plain = parameters(network("net=plain34"))
    found = {option: parameters(network("net=resnet34", f"shortcut.option={option}")) - plain for option in "ABC"}
    changes = [(64, 128), (128, 256), (256, 512)]
    projections = sum(into * out + 2 * out for into, out in changes)
    alike = sum(units * (width**2 + 2 * width) for units, width in ((3, 64), (3, 128), (5, 256), (2, 512)))
    assert found == {"A": 0, "B": projections, "C": projections + alike}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["net=resnet18", "depth=20"], "depth=20 is invalid: net resnet18 has a depth of 18; leave depth out"),
        (["net=resnet18", "net.stages=[2,2]"], "net.stages=[2,2] is not resnet18: add a name of your own, as in"),
        (["net=resnet18", "net.name=resnet34"], "net.stages=[2,2,2,2] is not resnet34: add a name of your own, as in"),
        (["net._target_=ablate.models.resnet.imagenet", "+net.stages=[1]"], "net.stages=[1] is not resnet18: add a"),
        (["net=resnet18", "net.name=mine", "net.stages=[2,0]"], "net.stages=[2, 0] is invalid: use the units of"),
        (["net=resnet18", "net.name=mine", "net.stages=3"], "net.stages=3 is invalid: use "),
        (["net=resnet15"], "net 'resnet15' is unknown; did you mean 'resnet152'?"),
        (["net.stages=[2]"], "the chosen net has no key 'stages', which belongs to resnet101"),
    ],
)  # fmt: skip
def test_network_that_does_not_exist_is_refused(words, sentence, resolve):
    with pytest.raises(ConfigError) as error:
        resolve(*words)
    assert str(error.value).startswith(sentence)


def test_images_that_are_too_small_are_refused(resolve):
    for net, shape, needed in (("resnet18", (3, 31, 40), "32x32"), ("resnet", (1, 20, 7), "8x8")):
        size = f"{shape[1]}x{shape[2]}"
        with pytest.raises(ConfigError, match=f"^net {net} needs images of {needed} or more, and these are {size}$"):
            build(resolve(f"net={net}"), shape=shape, classes=2)
    assert build(resolve("net=resnet18"), shape=(3, 32, 32), classes=2)(torch.zeros(2, 3, 32, 32)).shape == (2, 2)


def test_depth_follows_from_stages_and_unit(resolve):
    assert [resolve(f"net={name}").depth for name in NAMES] == [18, 34, 50, 101, 152]
    assert resolve("net=resnet18", "unit=bottleneck").depth == 26
    assert resolve("net=resnet18", "net.name=mine", "net.stages=[1,1,1]").depth == 8


def test_plain_network_is_the_residual_one_without_shortcuts(resolve):
    assert resolve("net=plain34") == resolve("net=resnet34", "shortcut=none")
    assert resolve("net=resnet34").shortcut["option"] == "B"
    assert resolve("net=resnet34", "shortcut.option=A").shortcut["option"] == "A"
