"""Gains along the shortcuts: by hand, against whole Jacobians, and where theory says what they are."""

import math

import pytest
import torch
from torch import nn
from torch.autograd.functional import jacobian

from ablate.models import shortcuts
from ablate.models.build import build
from ablate.probes import along
from ablate.probes.path import Link, Scaled, pulled
from tests.models.networks import resnet
from tests.probes.small import SCALES, Three, digits, images, made, measured, weighted


def test_gains_of_three_units_by_hand():
    units = measured(Three(*made(shortcuts.Constant, *SCALES))).units
    expected = [0.5 * -0.25 * 3, -0.25 * 3, 3]
    for unit, product in zip(units, expected, strict=True):
        for gain in (unit.path.backward, unit.path.forward):
            assert 2**gain.log2 == pytest.approx(abs(product), rel=1e-12)
            assert gain.mean == pytest.approx(product, rel=1e-12)
            assert gain.reached == pytest.approx(1, rel=1e-12)
        assert 2**unit.theory.log2 == pytest.approx(abs(product), rel=1e-12)
        assert unit.theory.mean == pytest.approx(product, rel=1e-12)
    assert [unit.path.own.mean for unit in units] == pytest.approx([0.5, -0.25, 3.0])


def test_absolute_norm_of_a_pulled_vector_by_hand():
    links = [Link(lambda x, s=scale: s * x + 7, torch.randn(2, 3)) for scale in (0.5, 4.0, 0.125)]
    v = torch.tensor([[3.0, 0, 0], [0, 4.0, 0]])
    assert [2**one.norm for one in pulled(v, [link.pull for link in links])] == pytest.approx([1.25, 2.5, 0.625])


def test_products_below_the_smallest_float_have_a_logarithm():
    vector = Scaled.of(torch.ones(4))
    for _ in range(100):
        vector = vector.through(lambda v: 1e-20 * v)
    assert vector.norm == pytest.approx(1 - 2000 * math.log2(10), rel=1e-6)


@pytest.mark.parametrize(
    ("words", "gain"),
    [
        (("shortcut=constant", "depth=110"), 0.5),
        (("shortcut=constant", "depth=20", "shortcut.scale=0.9", "shortcut.residual_scale=0.1"), 0.9),
        (("shortcut=constant", "depth=20", "unit.order=full_preactivation"), 0.5),
        (("shortcut=constant", "depth=20", "unit=bottleneck"), 0.5),
        (("shortcut=identity", "depth=20"), 1.0),
        (("shortcut=gate", "depth=20", "shortcut.bias_init=-1"), 1 / (1 + math.exp(-1))),
        (("shortcut=exclusive_gate", "depth=20", "shortcut.bias_init=2"), 1 / (1 + math.exp(2))),
    ],
)
def test_gain_is_the_factor_to_the_power_of_the_units(words, gain, resolve):
    units = digits(resolve(*words)).units
    assert len(units) == {"110": 54, "20": 6 if "unit=bottleneck" in words else 9}[words[1].removeprefix("depth=")]
    for unit in units:
        expected = (len(units) - unit.unit + 1) * math.log2(gain)
        for log2 in (unit.path.backward.log2, unit.path.forward.log2, unit.theory.log2):
            assert log2 == pytest.approx(expected, abs=1e-6 / math.log(2))


def test_network_without_shortcuts_keeps_nothing(resolve):
    for unit in digits(resolve("shortcut=none", "depth=20")).units:
        path = unit.path
        assert [path.backward.log2, path.forward.log2, path.with_f.log2, unit.theory.log2] == [-math.inf] * 4
        assert (unit.h, unit.theory.mean) == (0, 0)
        assert unit.gradient > 0  # through F


def test_gates_made_constant_multiply_by_the_product_of_their_means():
    biases = ({"bias_init": -2.0}, {"bias_init": 0.5}, {"bias_init": 3.0})
    units = measured(Three(*made(shortcuts.Gate, *biases))).units
    means = [1 / (1 + math.exp(one["bias_init"])) for one in biases]
    for unit, mean in zip(units, means, strict=True):
        assert (unit.gates.mean, unit.gates.deviation) == pytest.approx((mean, 0), abs=1e-12)
        assert 2**unit.path.backward.log2 == pytest.approx(math.prod(means[unit.unit - 1 :]), rel=1e-6)
        assert 2**unit.path.held.log2 == pytest.approx(math.prod(means[unit.unit - 1 :]), rel=1e-6)


def test_mean_openness_is_no_measure_of_gates_that_persist():
    """Two channels, one open and one half shut: [(1 + 1/8)/2] is kept over three units, not 0.75^3."""
    network = Three(*made(shortcuts.Gate, {}, {}, {}))
    for unit in network.parts:
        unit.h.gate.bias.data = torch.tensor([-40.0, 0.0])
    first = measured(network).units[0]
    assert first.gates.mean == pytest.approx(0.75)
    assert first.path.backward.mean == pytest.approx((1 + 1 / 8) / 2)
    assert 4**first.path.backward.log2 == pytest.approx((1 + 1 / 64) / 2)
    assert first.theory is None


@pytest.mark.parametrize(("scaling", "scale"), [("train", 1.0), ("test", 0.75)])
def test_dropout_has_its_mean_and_second_moment(scaling, scale, resolve):
    units = digits(resolve("shortcut=dropout", "shortcut.p=0.25", f"shortcut.scaling={scaling}", "depth=20")).units
    for unit in units:
        own = unit.path.own
        assert own.mean == pytest.approx(scale, rel=0.05)
        assert 4**own.log2 == pytest.approx(scale**2 / 0.75, rel=0.05)
        assert own.reached == pytest.approx(0.75, rel=0.05)
        assert unit.theory.mean == pytest.approx(scale ** (10 - unit.unit))
    assert units[0].path.backward.mean == pytest.approx(scale**9, rel=0.25)
    assert units[0].path.backward.reached == pytest.approx(0.75**9, rel=0.25)


def test_normalised_shortcut_has_forward_gains():
    """Batch normalisation removes a vector of ones, and what is in proportion to x."""
    units = measured(resnet(14, lambda *shape: shortcuts.Conv1x1(*shape, norm=True)), size=8, channels=1).units
    assert all(unit.path.forward.log2 < unit.path.backward.log2 - 1 for unit in units)


def test_large_network_has_forward_gains_of_some_units(resolve, monkeypatch):
    monkeypatch.setattr(along, "PUSHES", 15)
    units = digits(resolve("shortcut=constant", "depth=20")).units
    measured_units = [unit.unit for unit in units if unit.path.forward]
    assert measured_units == [1, 5, 9]
    assert units[0].path.forward.log2 == pytest.approx(-9)


def test_each_draw_has_other_random_numbers(monkeypatch):
    drawn = []
    monkeypatch.setattr(along, "average", lambda gains: drawn.append({gain.log2 for gain in gains}) or gains[0])
    measured(resnet(8, shortcuts.Dropout), size=8, channels=1, classes=10)
    assert min(map(len, drawn)) > along.DRAWS / 2  # two masks may keep equally many elements


@pytest.mark.parametrize("kind", [shortcuts.Gate, shortcuts.ExclusiveGate, shortcuts.Conv1x1])
def test_gains_are_those_of_whole_jacobians(kind, monkeypatch):
    monkeypatch.setattr(along, "signs_like", lambda like, _: torch.ones_like(like))
    network = Three(*weighted(kind))
    units = measured(network, count=2, size=2).units
    seen = []
    for unit in network.parts:
        unit.h.register_forward_hook(lambda h, given, _: seen.append((h, *(one.detach() for one in given))))
    network(images(count=2, size=2))
    full = torch.eye(16, dtype=torch.float64)
    for at in reversed(range(3)):
        h, x, residual = seen[at]
        full = full @ jacobian(lambda x, h=h, residual=residual: h(x, residual), x).reshape(16, 16)
        ones = torch.ones(16, dtype=torch.float64)
        assert 2 ** units[at].path.backward.log2 == pytest.approx((full.T @ ones).norm().item() / 4, rel=1e-9)
        forward = (full @ x.flatten()).norm() / x.norm()
        assert 2 ** units[at].path.forward.log2 == pytest.approx(forward.item(), rel=1e-9)
        assert units[at].path.backward.mean == pytest.approx((full.T @ ones).mean().item(), rel=1e-9)


def test_held_gates_have_no_derivative(monkeypatch):
    monkeypatch.setattr(along, "signs_like", lambda like, _: torch.ones_like(like))
    network = Three(*weighted(shortcuts.Gate))
    units = measured(network).units
    product, seen = torch.ones(6, 2, 4, 4, dtype=torch.float64), []
    for unit in network.parts:
        unit.h.gate.register_forward_hook(lambda _h, _given, logits: seen.append(1 - torch.sigmoid(logits)))
    network(images())
    for unit, open_ in zip(reversed(units), reversed(seen), strict=True):
        product = product * open_.detach()
        assert 4**unit.path.held.log2 == pytest.approx(product.square().mean().item(), rel=1e-9)
        assert unit.path.held.mean == pytest.approx(product.mean().item(), rel=1e-9)
        assert unit.path.held.log2 != pytest.approx(unit.path.backward.log2, rel=1e-3)


@pytest.mark.parametrize("order", ["original", "full_preactivation"])
def test_path_with_f_is_the_gradient_of_a_network_whose_f_is_constant(order, resolve, monkeypatch):
    monkeypatch.setattr(along, "signs_like", lambda like, _: torch.ones_like(like))
    words = ("shortcut=constant", "depth=14", f"unit.order={order}")
    units = digits(resolve(*words)).units
    network = build(resolve(*words), shape=(1, 8, 8), classes=10).double().train()
    inputs, outputs = [], []
    for _, unit in network.units():
        unit.register_forward_pre_hook(lambda _unit, given: inputs.append(given[0]))
        unit.register_forward_hook(lambda _unit, _given, output: outputs.append(output))
        unit.shortcut.register_forward_pre_hook(lambda _h, given: (given[0], given[1].detach()))
    network(images(8, 1, 8))
    gradients = torch.autograd.grad(outputs[-1].sum(), inputs)
    for unit, gradient in zip(units, gradients, strict=True):
        of_identity = 8 * gradient.shape[1] * 2 * 2  # elements that option A's subsampling leaves
        assert 2**unit.path.with_f.log2 == pytest.approx(gradient.norm().item() / math.sqrt(of_identity), rel=1e-6)


class Halved(torch.autograd.Function):
    """x / 2, whose derivative cannot be differentiated."""

    @staticmethod
    def forward(context, x):
        return x / 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(context, gradient):
        return gradient / 2


class Own(nn.Module):
    """A shortcut of a user, which adds in place, with its factor."""

    def __init__(self, in_channels, out_channels, stride, *, gain=0.5):
        super().__init__()
        self.match = shortcuts.match_shape(in_channels, out_channels, stride, "A")
        self.factor = gain

    def gain(self):
        return self.factor

    def forward(self, x, residual):
        return residual.add_(Halved.apply(self.match(x)))


def test_custom_shortcut_without_second_derivative():
    units = measured(resnet(14, Own), size=8, channels=1, classes=10).units
    assert [unit.path.forward for unit in units] == [None] * 6
    assert [unit.path.backward.log2 for unit in units] == pytest.approx([unit - 7 for unit in range(1, 7)])
    assert [unit.theory.log2 for unit in units] == [unit - 7 for unit in range(1, 7)]
    assert units[0].residual == pytest.approx(1, rel=1e-3)  # F after its normalisation, not the sum in its place
