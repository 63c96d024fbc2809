"""Weights of releases: a network with them computes what the release's own network computes."""

import re

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock, Bottleneck

from ablate.base.errors import ConfigError
from ablate.models.build import build
from ablate.models.weights import MEAN, RELEASES, fit, rename

CIFAR = ((16, 16, 1), (16, 32, 2), (32, 64, 2))
"""Input and output channels and stride of each stage."""


class PadBothSides(nn.Module):
    """Option A of akamaster: every second pixel, and as many channels of zeros before as after."""

    def forward(self, x):
        before = after = torch.zeros_like(x[:, : x.shape[1] // 2, ::2, ::2])
        return torch.cat([before, x[:, :, ::2, ::2], after], 1)


class AkamasterUnit(nn.Module):
    def __init__(self, into, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(out), nn.BatchNorm2d(out)
        self.shortcut = nn.Sequential() if into == out else PadBothSides()

    def forward(self, x):
        residual = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(residual + self.shortcut(x))


class Akamaster(nn.Module):
    """pytorch_resnet_cifar10, written from its description."""

    def __init__(self, units, classes=10):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        for number, (into, out, stride) in enumerate(CIFAR, 1):
            first = AkamasterUnit(into, out, stride)
            rest = [AkamasterUnit(out, out, 1) for _ in range(units - 1)]
            setattr(self, f"layer{number}", nn.Sequential(first, *rest))
        self.linear = nn.Linear(64, classes)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


class Chenyaofo(nn.Module):
    """The CIFAR network with torchvision's units and names, as pytorch-cifar-models has it."""

    def __init__(self, unit, units, classes=10):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        channels = 16
        for number, (_, inner, stride) in enumerate(CIFAR, 1):
            out, layer = inner * unit.expansion, nn.Sequential()
            for index in range(units):
                now = stride if index == 0 else 1
                projection = nn.Sequential(nn.Conv2d(channels, out, 1, now, bias=False), nn.BatchNorm2d(out))
                layer.append(unit(channels, inner, now, projection if (channels, now) != (out, 1) else None))
                channels = out
            setattr(self, f"layer{number}", layer)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(x)))
        return self.fc(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


PYTORCHCV = (
    (r"^conv1\.", "features.init_block.conv."),
    (r"^bn1\.", "features.init_block.bn."),
    (r"^layer(\d)\.(\d+)\.", lambda match: f"features.stage{match[1]}.unit{int(match[2]) + 1}."),
    (r"(unit\d+)\.conv(\d)\.", r"\1.body.conv\2.conv."),
    (r"(unit\d+)\.bn(\d)\.", r"\1.body.conv\2.bn."),
    (r"downsample\.0\.", "identity_conv.conv."),
    (r"downsample\.1\.", "identity_conv.bn."),
    (r"^fc\.", "output."),
)
TRANSFORMERS = (
    (r"^conv1\.", "resnet.embedder.embedder.convolution."),
    (r"^bn1\.", "resnet.embedder.embedder.normalization."),
    (r"^layer(\d)\.", lambda match: f"resnet.encoder.stages.{int(match[1]) - 1}.layers."),
    (r"(layers\.\d+)\.conv(\d)\.", lambda match: f"{match[1]}.layer.{int(match[2]) - 1}.convolution."),
    (r"(layers\.\d+)\.bn(\d)\.", lambda match: f"{match[1]}.layer.{int(match[2]) - 1}.normalization."),
    (r"downsample\.0\.", "shortcut.convolution."),
    (r"downsample\.1\.", "shortcut.normalization."),
    (r"^fc\.", "classifier.1."),
)
"""What these releases call torchvision's tensors, from their definitions."""


def renamed(state, rules):
    found = {}
    for name, value in state.items():
        for pattern, words in rules:
            name = re.sub(pattern, words, name)
        found[name] = value
    return found


def trained(network):
    """`network` in evaluation mode with every tensor random, as after training."""
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        elif name.endswith("num_batches_tracked"):
            value.fill_(7)
        elif value.dim() == 1:
            value.normal_(0.5, 0.3, generator=generator)
        else:
            value.normal_(0, (2 / value[0].numel()) ** 0.5, generator=generator)
    return network.eval()


def network(resolve, *words, channels=3, classes=10):
    return build(resolve(*words), shape=(channels, 32, 32), classes=classes).eval()


@torch.no_grad()
def assert_same(ours, theirs, size=32):
    x = torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(2))
    expected = theirs(x)
    assert (ours(x) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize("units", [1, 3])
def test_option_a_of_akamaster_computes_the_same(units, resolve):
    theirs, ours = trained(Akamaster(units)), network(resolve, f"depth={6 * units + 2}")
    state = theirs.state_dict()
    ours.load_state_dict(fit(state, ours, "it"))
    assert_same(ours, theirs)
    back = rename(ours.state_dict(), "akamaster")
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


SOURCES = {
    "torchvision": (lambda state: state, "torchvision"),
    "akamaster": (lambda state: renamed(state, [("downsample", "shortcut"), ("^fc", "linear")]), "akamaster"),
    "pytorchcv": (lambda state: renamed(state, PYTORCHCV), "pytorchcv"),
    "saved by a script": (lambda state: {"epoch": 3, "state_dict": renamed(state, [("^", "module.")])}, "torchvision"),
    "compiled": (lambda state: {"model": renamed(state, [("^", "_orig_mod.")])}, "torchvision"),
    "old": (lambda state: {k: v for k, v in state.items() if "num_batches" not in k}, "torchvision"),
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("unit", [BasicBlock, Bottleneck])
def test_projections_of_a_release_compute_the_same(source, unit, resolve):
    theirs = trained(Chenyaofo(unit, 2))
    words = ("depth=14",) if unit is BasicBlock else ("depth=20", "unit=bottleneck")
    ours = network(resolve, *words, "shortcut.option=B")
    made, release = SOURCES[source]
    ours.load_state_dict(fit(made(theirs.state_dict()), ours, "it"))
    assert_same(ours, theirs)
    state = SOURCES[release][0](theirs.state_dict())
    back = rename(ours.state_dict(), release)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state if source != "old" or "num_batch" not in name)


@pytest.mark.parametrize(
    ("depth", "release"),
    [(18, "torchvision"), (34, "torchvision"), (50, "torchvision"), (18, "transformers"), (50, "transformers")],
)
def test_network_for_imagenet_computes_the_same(depth, release, resolve):
    with torch.device("meta"):  # without drawing weights
        theirs = getattr(torchvision.models, f"resnet{depth}")(num_classes=10)
    trained(theirs.to_empty(device="cpu"))
    ours = network(resolve, f"net=resnet{depth}")
    state = theirs.state_dict()
    state = renamed(state, TRANSFORMERS) if release == "transformers" else state
    ours.load_state_dict(fit(state, ours, "it"))
    assert_same(ours, theirs, 64)
    back = rename(ours.state_dict(), release)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], value) for name, value in state.items())


@pytest.mark.parametrize("depth", [101, 152])
def test_deeper_networks_for_imagenet_have_the_same_tensors(depth, resolve):
    config = resolve(f"net=resnet{depth}")
    with torch.device("meta"):
        state = getattr(torchvision.models, f"resnet{depth}")(num_classes=10).state_dict()
        ours = build(config, shape=(3, 32, 32), classes=10)
    assert fit(state, ours, "it").keys() == ours.state_dict().keys()


def test_every_release_is_tried():
    assert {release for _, release in SOURCES.values()} | {"transformers"} == RELEASES.keys()


def test_own_weights_are_taken_as_they_are(resolve):
    one, other = (network(resolve, "depth=8", "shortcut=gate", f"seed={seed}") for seed in (0, 1))
    state = trained(one).state_dict()
    other.load_state_dict(fit(state | {MEAN: torch.zeros(3, 32, 32)}, other, "it"))
    assert all(torch.equal(other.state_dict()[name], value) for name, value in state.items())


def test_mean_of_a_custom_network_is_not_taken_for_the_mean_image(resolve):
    ours = network(resolve, "depth=8")
    ours.register_buffer(MEAN, torch.zeros(3))
    assert fit(ours.state_dict() | {MEAN: torch.ones(3)}, ours, "it")[MEAN].tolist() == [1, 1, 1]


B = ("depth=8", "shortcut.option=B")
BIAS = {"layer2.0.downsample.0.bias": torch.zeros(32)}


@pytest.mark.parametrize(
    ("words", "change", "sentence"),
    [
        (("depth=14", B[1]), {}, "does not fit the network: it lacks layer1.1.conv1.weight, .* and 27 more; use the"),
        (("depth=8",), {}, "does not fit the network: the network has no layer2.0.downsample.0.weight, .* and 9 more"),
        (B, BIAS, "does not fit the network: the network has no layer2.0.downsample.0.bias; use the net, depth, unit"),
        (B, {"conv1.weight": None}, "does not fit the network: it lacks conv1.weight; use"),
        (B, {"conv1.weight": torch.zeros(16, 1, 3, 3)}, "conv1.weight is 16x1x3x3 and not 16x3x3x3; use"),
        (B, {"bn1.bias": torch.zeros(16, dtype=torch.int8)}, "bn1.bias is 16 int8 and not 16; use"),
        (B, {"bn1.bias": torch.zeros(16).to_sparse()}, "bn1.bias is 16 sparse_coo and not 16; use"),
        (B, {"bn1.bias": 5}, "bn1.bias is int and not 16; use"),
        ((*B, "shortcut=gate"), {}, "it lacks stages.0.0.shortcut.gate.weight, "),
        ((*B, "unit.order=full_preactivation"), {}, "it lacks stages.1.0.before.0.weight, "),
        (B, {"fc.weight": torch.zeros(100, 64), "fc.bias": torch.zeros(100)}, "has 100 classes, and the data 10: use "),
        (B, {"fc.weight": torch.zeros(10, 32)}, "fc.weight is 10x32 and not 10x64"),
        (
            B,
            {"fc.weight": None},
            "^here.pt has conv1.weight, bn1.weight, bn1.bias and .* more: these are the names of no ",
        ),
    ],
)
def test_what_does_not_fit_is_named(words, change, sentence, resolve):
    state = Chenyaofo(BasicBlock, 1).state_dict() | change
    state = {name: value for name, value in state.items() if value is not None}
    with pytest.raises(ConfigError, match=sentence) as caught:
        fit(state, network(resolve, *words), "here.pt")
    assert str(caught.value).startswith("here.pt ")
    assert "\n" not in str(caught.value)


def test_channels_of_option_a_are_not_guessed(resolve):
    state = renamed(Akamaster(1).state_dict(), [("^linear", "fc")])
    with pytest.raises(ConfigError, match=r"^it has no projections: which channels torchvision's names mean"):
        fit(state, network(resolve, "depth=8"), "it")
    plain = network(resolve, "depth=8", "shortcut=none")
    assert torch.equal(fit(state, plain, "it")["head.weight"], state["fc.weight"])


@pytest.mark.parametrize("content", [[1, 2], {}, {"epoch": 3}, {"state_dict": {"a": 1}}, torch.zeros(3), None])
def test_what_is_no_state_dict_is_refused(content, resolve):
    with pytest.raises(ConfigError, match=r"^it holds no state_dict: save network.state_dict"):
        fit(content, network(resolve, "depth=8"), "it")
