"""The battery of checks: all that ships passes, and each of many faults is found and said in one sentence."""

import pytest

from ablate.commands.check import SHAPE, fitting, shipped
from ablate.training.battery import battery
from ablate.training.checks import CHECKS
from tests.training import broken

pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's own tracing
BROKEN = {
    "WrongShape": ("shapes, stride 1 and 2", "it gives (4, 16, 1, 16) where F(x) is (4, 16, 16, 16)"),
    "Tuple": ("shapes, stride 1 and 2", "it gives a tuple, not a tensor"),
    "StrideByChannels": ("shapes, stride 1 and 2", "with width=2, net resnet with shortcut own in unit basic fails"),
    "ChangesInput": ("inputs not changed", "ChangesInput changes its input number 1 in place"),
    "Unseeded": ("decided by the seed", "the same seed gives other results"),
    "UnseededStart": ("decided by the seed", "shortcut.scale starts with other values each time"),
    "HiddenState": ("state saved and loaded", "keep what changes in training in a buffer, not in an attribute"),
    "Unregistered": ("tensors registered", "has in scales a Tensor that is not registered: use nn.Parameter"),
    "UnregisteredPrivate": ("tensors registered", "has in _scale a Tensor that is not registered: use nn.Parameter"),
    "ListOfModules": ("tensors registered", "has in layers a Conv2d that is not registered: use nn.Parameter"),
    "MeanOfEvaluations": ("evaluation image by image", "an evaluation changes those after it"),
    "ReadsItsNeighbours": ("evaluation image by image", "differ with the images beside it in a batch"),
    "RandomInEvaluation": ("evaluation image by image", "an evaluation depends on random numbers"),
    "Unused": ("gradients in float32", "shortcut.scale has no gradient: it is not used"),
    "InfiniteGradient": ("gradients in float32", "shortcut.scale is not finite"),
    "ZeroTwice": ("every parameter learns", "the gradient of stages.0.0.shortcut.one is 0 in all of 20 steps"),
    "InBfloat16": ("gradients in bfloat16", "the loss is nan"),
    "RandomPerCall": ("activation checkpointing", ""),
    "Untraceable": ("compiled as eager", "in eager mode"),
    "SharedBetweenCopies": ("copies", "a copy changes with its original"),
}


def findings(resolve, group, name):
    config = resolve("depth=8")
    getattr(config, group).clear()
    getattr(config, group).update({"name": "own", "_target_": f"{broken.__name__}.{name}"})
    return {one.check: one.wrong for one in battery(config, SHAPE)}


@pytest.mark.parametrize("name", BROKEN)
def test_fault_is_found_and_said(name, resolve):
    check, sentence = BROKEN[name]
    found = findings(resolve, "unit" if name == "InBfloat16" else "shortcut", name)
    assert found[check]
    assert sentence in found[check]
    assert "\n" not in found[check]


def test_nothing_is_checked_of_a_network_that_cannot_be_called(resolve):
    assert [*findings(resolve, "shortcut", "WrongShape")] == [next(iter(CHECKS))]


def test_parameter_of_two_names_is_registered(resolve):
    assert not any(findings(resolve, "shortcut", "TwoNames").values())


@pytest.mark.long
@pytest.mark.parametrize("word", shipped())
def test_all_that_ships_passes(word):
    assert {one.check: one.wrong for one in battery(fitting(word), SHAPE)} == dict.fromkeys(CHECKS, "")
