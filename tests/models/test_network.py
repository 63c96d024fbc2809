"""Networks of a user's own."""

import json

import pytest
import torch
from torch import nn

from ablate.base.errors import ConfigError
from ablate.models.build import build, check_buildable
from ablate.models.network import Network
from ablate.models.resnet import ResNet, Stage
from ablate.models.shortcuts import Gate
from ablate.models.units import conv


class Two(ResNet):
    """A stem and two stages."""

    def __init__(self, in_channels, classes, *, depth, unit, channels=4):
        units = (depth - 2) // (2 * unit.layers)
        stages = [Stage(units, channels * unit.expansion), Stage(units, 2 * channels * unit.expansion)]
        super().__init__(conv(in_channels, channels, 3), channels, stages, unit, classes, smallest=8)


class Linear(Network):
    """Without units."""

    def __init__(self, in_channels, classes):
        super().__init__()
        self.head = nn.Linear(in_channels, classes)

    def forward(self, x):
        return self.head(x.mean((2, 3)))


class Failing(Linear):
    def forward(self, x):
        raise ValueError("no")


class Wide(Linear):
    """With a class too many."""

    def __init__(self, in_channels, classes):
        super().__init__(in_channels, classes + 1)


class Unused(Two):
    """With units that it does not use."""

    def __init__(self, in_channels, classes, *, depth, unit):
        Network.__init__(self)


class Foreign(nn.Module):
    def __init__(self, in_channels, classes):
        super().__init__()


TWO, LINEAR, FOREIGN = (f"net._target_={__name__}.{name}" for name in ("Two", "Linear", "Foreign"))


@pytest.fixture
def made(resolve):
    return lambda *words: build(resolve(*words), shape=(1, 8, 8), classes=3)


def test_network_of_ones_own_is_given_units_with_the_shortcut(made):
    network = made(TWO, "depth=14", "shortcut=gate", "unit=bottleneck", "+net.channels=8")
    units = list(network.units())
    assert [stage for stage, _ in units] == [1, 1, 2, 2]
    assert all(isinstance(unit.shortcut, Gate) for _, unit in units)
    assert network.head.in_features == 64
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_network_without_units_takes_no_shortcut(made):
    assert made(LINEAR, "+net.depth=1", "shortcut=none")(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([LINEAR, "+net.depth=1"], "net Linear has no residual units, and so no shortcut: add shortcut=none"),
        ([LINEAR, "shortcut=none"], "net Linear takes no depth: say which it has in its file, as in net.depth=5"),
        ([LINEAR, "+net.depth=1", "depth=2"], "depth=2 is invalid: net Linear has a depth of 1; leave depth out"),
        ([LINEAR, "+net.depth=1", "shortcut=none", "width=2"], "net Linear takes no width: leave out width=2"),
        ([TWO, "depth=18", "width=2"], "net Two takes no width: leave out width=2"),
        ([FOREIGN, "+net.depth=1", "shortcut=none"], "net Foreign must be a subclass of ablate.models.network.Network"),
        ([TWO, "+net.layers=3"], "net Two cannot be built: Two.__init__() got an unexpected keyword argument 'layers'"),
        (["net._target_=nowhere.Net"], "net._target_=nowhere.Net cannot be imported: there is no module 'nowhere'"),
        ([TWO.replace("Two", "Twice")], f"net Twice cannot be built: module '{__name__}' has no attribute 'Twice'"),
        (["unit._target_=json.Unit"], "unit Unit cannot be built: module 'json' has no attribute 'Unit'"),
        ([TWO.replace("Two", "TWO")], f"net._target_={__name__}.TWO is not a class"),
        (
            [TWO.replace("Two", "Unused"), "shortcut=gate"],
            "net Unused with unit basic has no shortcut in it: build one in each unit, or add shortcut=none",
        ),
        (["net._target_=7"], "net._target_=7 names no class: write it as MODULE.CLASS"),
        ([TWO, "net.name=resnet18"], "net.name=resnet18 is the name of another net, not of"),
    ],
)
def test_what_a_network_cannot_be_is_refused(words, sentence, made):
    with pytest.raises(ConfigError) as error:
        made(*words)
    assert str(error.value).startswith(sentence)


def test_network_that_fails_on_images_is_named(resolve):
    config = resolve(f"net._target_={__name__}.Failing", "+net.depth=1", "shortcut=none")
    sentence = "^net Failing with shortcut none in unit basic fails on images of 8x8: ValueError: no$"
    with pytest.raises(ConfigError, match=sentence):
        check_buildable(config, (1, 8, 8))


def test_logits_of_another_shape_are_refused(resolve, ask, tmp_path):
    words = (f"net._target_={__name__}.Wide", "+net.depth=1", "shortcut=none")
    sentence = "net Wide with shortcut none in unit basic must return logits of shape {}, images and classes, not {}"
    with pytest.raises(ConfigError) as error:
        check_buildable(resolve(*words), (1, 8, 8))
    assert str(error.value) == sentence.format((2, 2), (2, 3))
    refused = ask(*words, "iterations=1")
    assert (refused.status, refused.err) == (2, f"ablate: {sentence.format((1, 10), (1, 11))}\n")


MODULE = """
from ablate.models.resnet import ResNet, Stage
from ablate.models.units import conv

class Net(ResNet):
    def __init__(self, in_channels, classes, *, depth, unit):
        super().__init__(conv(in_channels, CHANNELS, 3), CHANNELS, [Stage(2, 8)], unit, classes, smallest=8)
"""


def test_network_of_ones_own_is_trained_named_hashed_and_copied(ask, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    results = tmp_path / "runs"
    (tmp_path / "net").mkdir()
    (tmp_path / "net/mine.yaml").write_text("name: mine\n_target_: ownnetwork.Net\n")
    (tmp_path / "ownnetwork.py").write_text(MODULE.replace("CHANNELS", "4"))
    words = ["--config-dir", str(tmp_path), "net=mine", "depth=6", "iterations=2", "device=cpu", f"results={results}"]
    assert ask(*words).status == 0
    (run,) = results.glob("digits-*")
    result = json.loads((run / "result.json").read_text())
    assert "-mine-d6-" in run.name
    assert result["code"]["net"].split()[0] == result["config"]["net"]["source"]
    assert (run / "source/ownnetwork.py").is_file()
    refused = ask("replay", str(run))
    assert refused.status == 2
    assert "runs custom code, ownnetwork.Net" in refused.err
    (tmp_path / "ownnetwork.py").write_text(MODULE.replace("CHANNELS", "8"))
    edited = ask(*words, "dry_run=true")
    assert "would train" in edited.out
