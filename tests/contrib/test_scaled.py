"""Scaled residuals against their equations in float64, torchvision's stochastic depth, and values of the papers."""

import pytest
import torch
from torchvision.ops import StochasticDepth as Torchvision

from ablate.contrib import scaled
from ablate.models.connection import Position
from tests.models.test_shortcuts import CHANGE, EQUAL, pad, sample

PLACE = Position(index=3, units=12, stage=1, number=3)  # p_l = 1 − 3/12 · 0.5 = 0.875
EQUATIONS = {
    "SkipInit": ({}, lambda h, x, f: x + h.alpha * f),
    "ReZero": ({}, lambda h, x, f: x + h.alpha * f.clamp(min=0)),
    "LayerScale": ({"position": PLACE}, lambda h, x, f: x + torch.einsum("c,nchw->nchw", h.scale[:, 0, 0], f)),
    "Stable": ({"position": PLACE}, lambda h, x, f: x + f / 12**0.5),
    "Weighted": ({}, lambda h, x, f: x + h.weight * f),
}
INITIAL = {"SkipInit": ("alpha", 0.0), "ReZero": ("alpha", 0.0), "Weighted": ("weight", 0.0)}
shapes = pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])


def built(name, shape, **parameters):
    h = getattr(scaled, name)(*shape, **parameters).double()
    torch.manual_seed(0)
    for parameter in h.parameters():  # off their initial values
        parameter.data += 0.3 * torch.randn_like(parameter)
    return h


def check(h, equation, shape):
    x, residual, cotangent = sample(shape)
    y, wanted = h(x, residual), equation(h, pad(h, x, shape[1], shape[2]), residual)
    torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)
    inputs = [x, residual, *h.parameters()]
    slopes, expected = (torch.autograd.grad(out, inputs, cotangent) for out in (y, wanted))
    for one, other in zip(slopes, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


@shapes
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", EQUATIONS)
def test_forward_and_gradients_are_those_of_the_equation(name, training, shape):
    parameters, equation = EQUATIONS[name]
    check(built(name, shape, **parameters).train(training), equation, shape)


@pytest.mark.parametrize("name", INITIAL)
def test_initial_value_is_that_of_the_paper_and_can_be_given(name):
    parameter, value = INITIAL[name]
    assert getattr(getattr(scaled, name)(*EQUAL), parameter) == value
    assert getattr(getattr(scaled, name)(*EQUAL, init=0.5), parameter) == 0.5


@pytest.mark.parametrize(("units", "value"), [(9, 0.1), (18, 0.1), (19, 1e-5), (24, 1e-5), (25, 1e-6), (54, 1e-6)])
def test_layerscale_starts_by_depth(units, value):
    h = scaled.LayerScale(*CHANGE, position=Position(1, units, 1, 1))
    torch.testing.assert_close(h.scale, torch.full((5, 1, 1), value))


def test_weight_beyond_one_acts_as_one_and_still_has_its_gradient():
    h = scaled.Weighted(*EQUAL).double()
    h.weight.data.fill_(1.5)
    x, residual, cotangent = sample(EQUAL)
    y = h(x, residual)
    torch.testing.assert_close(y, x + residual)
    (slope,) = torch.autograd.grad(y, h.weight, cotangent)
    torch.testing.assert_close(slope, (cotangent * residual).sum())


# p_l by hand from eq. 4 of the paper, with p_L = 0.5 and 54 units
@pytest.mark.parametrize(("index", "p"), [(1, 0.9907407407407407), (27, 0.75), (54, 0.5)])
def test_probability_falls_from_the_first_unit_to_the_last(index, p):
    assert scaled.StochasticDepth(*EQUAL, position=Position(index, 54, 1, 1)).p == pytest.approx(p, rel=1e-12)


@shapes
def test_stochastic_depth_scales_f_by_its_probability_in_evaluation(shape):
    h = scaled.StochasticDepth(*shape, position=PLACE).double().eval()
    check(h, lambda h, x, f: x + 0.875 * f, shape)


@shapes
def test_stochastic_depth_keeps_or_drops_a_whole_batch_as_torchvision_does(shape):
    """Torchvision divides what it keeps by p, and F is not scaled in its evaluation."""
    h = scaled.StochasticDepth(*shape, position=Position(12, 12, 1, 12), p=0.3).double()
    theirs = Torchvision(p=0.7, mode="batch")
    x, residual, cotangent = sample(shape)
    matched = pad(h, x, shape[1], shape[2])
    torch.manual_seed(0)
    for training, draws in ((True, 2000), (False, 1)):
        h.train(training), theirs.train(training)
        kept = []
        for made in (lambda: h(x, residual), lambda: matched + 0.3 * theirs(residual)):
            seen = [made().detach() for _ in range(draws)]
            outputs = [matched, matched + residual] if training else [matched + 0.3 * residual]
            near = [[torch.allclose(one, other, rtol=1e-12) for other in outputs] for one in seen]
            assert all(sum(one) == 1 for one in near)
            kept.append(sum(one[-1] for one in near) / draws)
        assert kept == pytest.approx([0.3, 0.3] if training else [1, 1], abs=5 * (0.21 / 2000) ** 0.5)
    h.train()
    slopes = {torch.autograd.grad(h(x, residual), residual, cotangent)[0].norm().item() for _ in range(50)}
    assert slopes == {0.0, cotangent.norm().item()}


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("LayerScale", {"init": 0.0, "position": PLACE}, "init=0.0 is invalid: it must be above 0, or null"),
        ("Weighted", {"init": 1.0}, "init=1.0 is invalid: it must be between -1 and 1"),
        ("StochasticDepth", {"p": 0.0, "position": PLACE}, "p=0.0 is invalid: it must be above 0 and at most 1"),
        ("StochasticDepth", {"p": 1.1, "position": PLACE}, "p=1.1 is invalid: it must be above 0 and at most 1"),
    ],
)
def test_parameter_out_of_range_is_refused_in_one_sentence(name, parameters, sentence):
    with pytest.raises(ValueError, match=rf"^shortcut\.{sentence}$"):
        getattr(scaled, name)(*EQUAL, **parameters)


@pytest.mark.parametrize(("name", "key"), [("SkipInit", "alpha"), ("ReZero", "alpha"), ("Weighted", "lambda")])
def test_learned_number_is_recorded(name, key):
    assert getattr(scaled, name)(*EQUAL, init=0.25).scalars() == {key: 0.25}
