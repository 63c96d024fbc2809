"""What is measured while a network trains: the numbers, and that they change nothing."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from ablate.config.files import declared, options
from ablate.models.shortcuts import Gate, Identity
from ablate.models.units import ORDERS, Basic
from ablate.probes.training import SignalProbe
from tests.contrib.words import words
from tests.training.conftest import Recorder, start, train  # noqa: F401

KEYS = ("x", "gradient", "weights", "weights_gradient", "path", "gate")


class Kept(Recorder):
    """Keeps the lines too."""

    def __init__(self, *of):
        super().__init__(*of)
        self.lines = []

    def signal(self, line):
        self.lines.append(line)


def test_first_steps_and_every_so_many_are_measured():
    probe = SignalProbe(None, 25)
    assert [step for step in range(1, 101) if probe.wants(step)] == [1, 2, 4, 8, 16, 25, 50, 75, 100]
    assert [step for step in range(1, 5) if SignalProbe(None, 1).wants(step)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "words",
    [
        ("shortcut=identity", "unit=bottleneck", "depth=11"),
        ("shortcut=gate", "shortcut.weight_init=he", "unit=single", "depth=8", "unit.order=full_preactivation"),
        ("shortcut=dropout", "depth=8", "data.flip=true", "data.shift=1"),
        ("shortcut=conv1x1", "shortcut.norm=true", "depth=8", "recipe=he2016"),
        ("shortcut=none", "depth=8", "unit.order=bn_after_addition", "recipe.momentum=0"),
        ("shortcut=exclusive_gate", "shortcut.option=B", "depth=8", "precision=bfloat16"),
    ],
    ids=" ".join,
)
def test_measured_run_has_the_same_bits(words, resolve, train):  # noqa: F811
    every = ("iterations=12", "device=cpu", "recipe.batch=100")
    how = {"precision": torch.bfloat16} if "precision=bfloat16" in words else {}
    plain = train(resolve(*words, *every), **how)
    probed = train(resolve(*words, *every, "probes=signal", "probe_every=3"), recorder=Kept, **how)
    assert [line["step"] for line in probed.lines] == [1, 2, 3, 6, 9, 12]
    assert plain.weights.keys() == probed.weights.keys()
    assert all(value.equal(probed.weights[name]) for name, value in plain.weights.items())
    assert plain.losses == probed.losses


ORDERED = [
    (unit, order)
    for unit in options("unit")
    for order in (ORDERS if "order" in declared("unit", unit) else [""])
    if not (unit.startswith("zero_gamma") and order == "relu_before_addition")  # refused: F would stay 0
]


@pytest.mark.long
@pytest.mark.parametrize(("unit", "order"), ORDERED)
@pytest.mark.parametrize("recipe", options("recipe"))
def test_measured_run_has_the_same_bits_with_every_recipe_and_unit(recipe, unit, order, resolve, train):  # noqa: F811
    for shortcut in ("identity", "gate_he", "dropout", "conv1x1"):
        chosen = [f"unit.order={order}"] if order else []
        every = (
            *words("unit", unit, shortcut=shortcut),
            *chosen,
            f"recipe={recipe}",
            "iterations=4",
            "recipe.batch=32",
        )
        plain = train(resolve(*every, "device=cpu"))
        probed = train(resolve(*every, "device=cpu", "probes=signal", "probe_every=3"), recorder=Kept)
        assert [line["step"] for line in probed.lines] == [1, 2, 3]
        assert all(value.equal(probed.weights[name]) for name, value in plain.weights.items())
        assert plain.losses == probed.losses


def test_numbers_of_the_first_step_by_hand(resolve, start):  # noqa: F811
    words = ("shortcut=gate", "shortcut.bias_init=-1", "depth=8", "device=cpu", "recipe.batch=50", "seed=2")
    training = start(resolve(*words, "probes=signal", "iterations=5"), dtype=torch.float64)
    network, step = training.network, training.step
    step.begin_epoch(0)
    images, labels = step.batches.next()
    units = [unit for _, unit in network.units()]
    xs = [network.stem(images)]
    for unit in units:
        xs.append(unit(xs[-1]))
    loss = functional.cross_entropy(network.head(network.last(xs[-1]).mean((2, 3))), labels)
    gradients = torch.autograd.grad(loss, xs[:-1])
    line = {"step": 1}
    with training.signal.watch(line) as step.measure:
        training.take()
    assert tuple(line) == ("step", *KEYS, "theory")
    assert line["x"] == pytest.approx([x.square().mean().item() for x in xs[:-1]], rel=1e-5)
    assert line["gradient"] == pytest.approx([gradient.norm().item() for gradient in gradients], rel=1e-5)
    openness = 1 / (1 + math.exp(-1))  # W_g = 0 and b_g = -1 in each of three units
    assert line["gate"] == pytest.approx([openness] * 3, rel=1e-5)
    assert line["path"] == pytest.approx([count * math.log2(openness) for count in (3, 2, 1)], rel=1e-5)
    assert line["theory"] == pytest.approx(line["path"], rel=1e-5)
    for unit, gradient in zip(units, line["weights_gradient"], strict=True):
        squares = sum(p.grad.square().sum() for p in unit.parameters())
        assert gradient == pytest.approx(squares.sqrt().item(), rel=1e-5)


def test_plain_network_has_no_path_and_no_gates(resolve, train):  # noqa: F811
    words = ("shortcut=none", "depth=8", "device=cpu", "recipe.batch=100", "iterations=2", "probes=signal")
    for line in train(resolve(*words), recorder=Kept).lines:
        assert line["path"] == line["gate"] == [None] * 3
        assert min(line["gradient"]) > 0


class Keeping(Identity):
    """Keeps a tensor of its pass, as for `scalars()`."""

    def forward(self, x, residual):
        self.last = 0.5 * self.match(x)
        return self.last + residual


class Changing(Identity):
    """Changes what it is given in place."""

    def forward(self, x, residual):
        residual += self.match(x)
        return residual


class OfImages(Gate):
    """One gate for each channel of an image, by another module than a convolution."""

    def __init__(self, in_channels, out_channels, stride, **more):
        super().__init__(in_channels, out_channels, stride, **more)
        self.gate = nn.Linear(out_channels, out_channels)

    def forward(self, x, residual):
        x = self.match(x)
        return torch.sigmoid(-self.gate(x.mean((2, 3))))[:, :, None, None] * x + residual


class LeftOut(Basic):
    """Is left out in every second pass, where it can be."""

    passes = 0

    def forward(self, x):
        self.passes += self.training
        return x if self.passes % 2 == 0 and self.training and not self.changes_shape else super().forward(x)


class ByName(Basic):
    """Calls its shortcut in a way that is not seen."""

    def forward(self, x):
        return self.after(self.shortcut(x, residual=self.residual(x)))


class InPlace(Basic):
    """Changes x in place where no backward pass needs it."""

    def forward(self, x):
        return super().forward(x.mul_(2.0) if self.changes_shape else x)


def custom(kind, group="shortcut"):
    return f"{group}._target_={__name__}.{kind}"


@pytest.mark.parametrize(
    ("words", "gains"),
    [
        (("shortcut=identity", custom("Keeping")), [-3, -2, -1]),
        (("shortcut=identity", custom("Changing")), [0, 0, 0]),
        (("shortcut=identity", custom("ByName", "unit")), [None, None, None]),
        (("shortcut=identity", custom("LeftOut", "unit")), [0, 0, 0]),
        (("shortcut=gate", custom("OfImages")), None),
    ],
    ids=["Keeping", "Changing", "ByName", "LeftOut", "OfImages"],
)
def test_custom_parts_are_measured_and_train_to_the_same_bits(words, gains, resolve, train):  # noqa: F811
    every = (*words, "depth=8", "iterations=6", "device=cpu", "recipe.batch=50")
    plain = train(resolve(*every))
    probed = train(resolve(*every, "probes=signal", "probe_every=1"), recorder=Kept)
    assert all(value.equal(probed.weights[name]) for name, value in plain.weights.items())
    assert [len(line[key]) for line in probed.lines for key in KEYS] == [3] * 36
    first = probed.lines[0]
    assert min(first["x"]) > 0 < min(first["gradient"])
    assert [one is None for one in first["gate"]] == [words[0] != "shortcut=gate"] * 3
    if gains:
        assert first["path"] == gains
    else:
        assert all(0.2 < gate < 0.8 for gate in first["gate"])
        assert first["path"][0] < first["path"][1] < first["path"][2] < 0


def test_unit_that_is_left_out_has_no_path(resolve, train):  # noqa: F811
    words = ("shortcut=constant", custom("LeftOut", "unit"), "depth=14", "device=cpu", "recipe.batch=50")
    first, second = train(resolve(*words, "iterations=2", "probes=signal"), recorder=Kept).lines
    assert first["path"] == [-6, -5, -4, -3, -2, -1]
    assert second["path"] == [None] * 6  # the last unit is left out
    assert second["weights_gradient"][0] == 0 < second["weights_gradient"][2]
    assert min(second["x"]) > 0 < min(second["gradient"])


def test_x_is_what_a_unit_is_given(resolve, train):  # noqa: F811
    words = ("shortcut=identity", "unit.order=relu_only_preactivation", "depth=8", "device=cpu", "recipe.batch=50")
    every = (*words, "iterations=1", "probes=signal")
    (plain,) = train(resolve(*every), recorder=Kept).lines
    (changed,) = train(resolve(*every, custom("InPlace", "unit")), recorder=Kept).lines
    assert changed["x"][1] == plain["x"][1]
    assert changed["gradient"][1] != plain["gradient"][1]
