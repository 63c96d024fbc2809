"""The networks before ResNet against torchvision's, against their papers' tables, and in training."""

import json
import math

import numpy
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn

from ablate.base.errors import ConfigError
from ablate.models.build import build
from ablate.models.classic import Chain
from ablate.models.cost import multiply_adds, parameters
from ablate.runs import layout
from tests.runs.test_run import only, stopped

OF_TORCHVISION = ("alexnet", "vgg16", "vgg19", "googlenet")
SMALLEST = {"alexnet": 63, "zfnet": 47, "vgg16": 32, "vgg19": 32, "googlenet": 15}


@pytest.fixture(scope="module")
def network(resolve):
    """The networks for images of 224×224 and 1000 classes, each built once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = build(resolve(f"net={name}"), shape=(3, 224, 224), classes=1000).eval()
        return made[name]

    return get


@pytest.mark.parametrize("name", OF_TORCHVISION)
def test_network_is_torchvisions(name, network):
    """Its parameters and operations by the metadata; with the same weights, its outputs and state."""
    ours, weights = network(name), torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert parameters(ours) == weights.meta["num_params"]
    assert multiply_adds(ours, (3, 224, 224)) / 1e9 == pytest.approx(weights.meta["_ops"], abs=0.0005)
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    theirs = torchvision.models.get_model(name, **options).eval()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 96, 128)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x))
    assert SMALLEST[name] == max(weights.meta["min_size"])


def linear(into, out):
    return into * out + out


def convolution(into, out, size):
    return out * into * size**2 + out


def test_parameters_of_lenet5(resolve):
    """Fig. 2 of the paper, each map of C3 seeing all six of S2, without parameters in S2 and S4."""
    maps = [convolution(1, 6, 5), convolution(6, 16, 5), convolution(16, 120, 5)]
    wanted = [*maps, linear(120, 84), linear(84, 10)]
    assert wanted == [156, 2_416, 48_120, 10_164, 850]
    ours = build(resolve("net=lenet5"), shape=(1, 32, 32), classes=10)
    found = [parameters(layer) for layer in ours.children()]
    assert [one for one in found if one] == wanted
    assert sum(found) == 61_706
    operations = 28**2 * 6 * 25 + 10**2 * 16 * 6 * 25 + 120 * 16 * 25 + 120 * 84 + 84 * 10
    for side in (8, 32, 50):
        assert multiply_adds(ours, (1, side, side)) == operations == 416_520


def test_lenet5_is_its_equations(resolve):
    """Convolutions and pooling written out as sums over windows, in float64."""
    ours = build(resolve("net=lenet5"), shape=(1, 32, 32), classes=10).double()
    weights = [value.detach() for value in ours.parameters()]

    def convolved(x, weight, bias):
        windows = x.unfold(2, 5, 1).unfold(3, 5, 1)
        return torch.tanh(torch.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None])

    def pooled(x):
        return (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4

    x = torch.randn(3, 1, 32, 32, dtype=torch.float64)
    y = convolved(pooled(convolved(pooled(convolved(x, *weights[:2])), *weights[2:4])), *weights[4:6]).flatten(1)
    y = torch.tanh(y @ weights[6].T + weights[7]) @ weights[8].T + weights[9]
    torch.testing.assert_close(ours(x), y)


def test_parameters_and_operations_of_zfnet(network):
    """Fig. 3 of the paper: maps, filters, and the sides of the outputs."""
    table = [(3, 96, 7, 110), (96, 256, 5, 26), (256, 384, 3, 13), (384, 384, 3, 13), (384, 256, 3, 13)]
    count = sum(convolution(into, out, size) for into, out, size, _ in table)
    count += linear(6 * 6 * 256, 4096) + linear(4096, 4096) + linear(4096, 1000)
    assert parameters(network("zfnet")) == count == 62_357_608
    operations = sum(side**2 * out * into * size**2 for into, out, size, side in table)
    operations += 6 * 6 * 256 * 4096 + 4096 * 4096 + 4096 * 1000
    assert multiply_adds(network("zfnet"), (3, 224, 224)) == operations
    sides, x = [], torch.zeros(1, 3, 224, 224)
    for layer in network("zfnet").features:
        x = layer(x)
        sides += [x.shape[2]] if not isinstance(layer, nn.ReLU) else []
    assert sides == [110, 55, 26, 13, 13, 13, 13, 6]


@pytest.mark.parametrize("name", SMALLEST)
def test_smallest_image(name, network):
    side = network(name).smallest
    assert side == SMALLEST[name]
    assert network(name)(torch.zeros(1, 3, side, side)).shape == (1, 1000)
    with pytest.raises(RuntimeError):
        network(name)(torch.zeros(1, 3, side - 1, side - 1))


class Seen(nn.Module):
    """Keeps its input."""

    def forward(self, x):
        self.x = x
        return x


@pytest.mark.parametrize("shape", [(8, 8), (64, 64), (20, 50)])
def test_images_are_resized_as_by_pillow(shape):
    seen, image = Seen(), torch.rand(shape)
    Chain({"seen": seen, "head": nn.Identity()}, 1, size=32, smallest=32, colour=False)(image[None, None])
    wanted = Image.fromarray(image.numpy()).resize((32, 32), Image.Resampling.BILINEAR)
    torch.testing.assert_close(seen.x[0, 0], torch.from_numpy(numpy.array(wanted)), rtol=1e-5, atol=1e-5)


def test_image_of_one_channel_is_a_grey_image_of_three(network):
    x = torch.rand(1, 1, 32, 32)
    assert network("googlenet")(x).equal(network("googlenet")(x.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("name", ["lenet5", "googlenet"])
def test_head_computes_in_float32(name, resolve):
    ours = build(resolve(f"net={name}", "net.size=32"), shape=(1, 8, 8), classes=10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ours(torch.randn(2, 1, 8, 8)).dtype == torch.float32


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("unit=bottleneck", "net lenet5 has no residual units, so unit=bottleneck has no effect: leave it out"),
        ("unit.order=bn_after_addition", "net lenet5 has no residual units, so unit.order=bn_after_addition has no "),
        ("probes=signal", "net lenet5 has no residual units, so probes=signal has no effect: leave it out"),
        ("compile=true", "net lenet5 has no residual units, so compile=true has no effect: leave it out"),
        ("activation_checkpointing=true", "net lenet5 has no residual units, so activation_checkpointing=true has "),
        ("shortcut=gate", "net lenet5 has no residual units, and so no shortcut: add shortcut=none"),
        ("width=2", "net lenet5 takes no width: leave out width=2"),
        ("depth=20", "depth=20 is invalid: net lenet5 has a depth of 5; leave depth out"),
        ("net.size=64", "net lenet5 cannot be built: net.size=64 is invalid: LeNet-5 has images of 32x32; leave"),
        ("net=alexnet", "net alexnet needs images of 63x63 or more, and these are 8x8; net.size=224 resizes them"),
        ("net=alexnet net.size=62", "net alexnet cannot be built: net.size=62 is invalid: use 63 to 4096 pixels, or"),
        ("net=alexnet net.size=big", "net alexnet cannot be built: net.size=big is invalid: use 63 to 4096 pixels, "),
    ],
)  # fmt: skip
def test_what_has_no_effect_or_does_not_fit_is_refused(words, sentence, resolve):
    with pytest.raises(ConfigError) as error:
        build(resolve("net=lenet5", *words.split()), shape=(1, 8, 8), classes=10)
    assert str(error.value).startswith(sentence)


def test_images_of_two_channels_are_refused(resolve):
    with pytest.raises(ConfigError, match=r"^net googlenet cannot be built: images have 2 channels: use 1 or 3"):
        build(resolve("net=googlenet"), shape=(2, 32, 32), classes=10)


def result(folder):
    return json.loads((only(folder) / layout.RESULT).read_text())


def test_lenet5_learns_digits(ask, tmp_path):
    assert ask("net=lenet5", "device=cpu").status == 0
    found = result(tmp_path / "runs")
    assert found["test_error"] < 15
    assert found["parameters"] == 61_706
    assert found["config"]["net"]["size"] == 32
    assert "net=lenet5" in ask("status", str(tmp_path / "runs")).out


def test_dropout_goes_on_where_a_run_was_stopped(ask, tmp_path, monkeypatch):
    words = ("net=googlenet", "net.size=32", "recipe.batch=8", "iterations=3", "data.validation=1200", "device=cpu")
    assert ask(*words, f"results={tmp_path / 'whole'}").status == 0
    stopped(ask, monkeypatch, 2, *words)
    assert ask(*words).status == 0
    whole, resumed = result(tmp_path / "whole"), result(tmp_path / "runs")
    assert resumed["resumed"] == 1
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    assert math.isfinite(whole["test_error"])


def test_named_networks_for_cifar_are_the_general_one(resolve):
    for depth in (20, 56):
        assert resolve(f"net=resnet{depth}") == resolve(f"depth={depth}")
        assert resolve(f"net=plain{depth}") == resolve(f"depth={depth}", "shortcut=none")
