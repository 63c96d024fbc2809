"""Every shortcut against its equation, written a second time with einsum, in float64."""

import functools
import inspect

import pytest
import torch

from ablate.config.files import options
from ablate.models import shortcuts
from ablate.models.build import LABELS
from ablate.models.shortcuts import match_shape

EQUAL, CHANGE = (4, 4, 1), (3, 5, 2)


def pad(h, x, out, stride):
    x = x[:, :, ::stride, ::stride]
    zeros = x.new_zeros(x.shape[0], out - x.shape[1], *x.shape[2:])
    return torch.cat([x, zeros], 1)


def pointwise(weight, x, stride=1):
    return torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], x[:, :, ::stride, ::stride])


def normed(norm, z):
    mean = z.mean((0, 2, 3), keepdim=True)
    variance = ((z - mean) ** 2).mean((0, 2, 3), keepdim=True)
    scale, shift = (v[None, :, None, None] for v in (norm.weight, norm.bias))
    return (z - mean) / (variance + 1e-5) ** 0.5 * scale + shift


def project(h, x, out, stride):
    conv, norm = h.match
    return normed(norm, pointwise(conv.weight, x, stride))


def g(h, x):
    z = pointwise(h.gate.weight, x) + h.gate.bias[None, :, None, None]
    return 1 / (1 + torch.exp(-z))


def gated(h, x, residual, match=pad):
    x = match(h, x, residual.shape[1], x.shape[2] // residual.shape[2])
    return (1 - g(h, x)) * x + residual


def exclusive(h, x, residual):
    x = pad(h, x, residual.shape[1], x.shape[2] // residual.shape[2])
    return (1 - g(h, x)) * x + g(h, x) * residual


def constant(h, x, residual, scale, residual_scale):
    x = pad(h, x, residual.shape[1], x.shape[2] // residual.shape[2])
    return scale * x + residual_scale * residual


def convolved(h, x, residual, norm):
    z = pointwise(h.projection[0].weight, x, x.shape[2] // residual.shape[2])
    return (normed(h.projection[1], z) if norm else z) + residual


def option_b(h, x, residual):
    changes = x.shape[1:] != residual.shape[1:]
    return (project(h, x, residual.shape[1], 2) if changes else x) + residual


def option_c(h, x, residual):
    return project(h, x, residual.shape[1], x.shape[2] // residual.shape[2]) + residual


def gate_of_projection(h, x, residual):
    changes = x.shape[1:] != residual.shape[1:]
    return gated(h, x, residual, project if changes else pad)


EQUATIONS = {
    "identity": ("Identity", {}, functools.partial(constant, scale=1, residual_scale=1)),
    "identity, option B": ("Identity", {"option": "B"}, option_b),
    "identity, option C": ("Identity", {"option": "C"}, option_c),
    "none": ("NoShortcut", {}, lambda h, x, residual: residual),
    "constant": ("Constant", {"scale": 0.3}, functools.partial(constant, scale=0.3, residual_scale=1)),
    "constant on both": (
        "Constant",
        {"scale": 0.3, "residual_scale": 0.8},
        functools.partial(constant, scale=0.3, residual_scale=0.8),
    ),
    "gate": ("Gate", {"bias_init": -1.0}, gated),
    "gate, option B": ("Gate", {"bias_init": -1.0, "option": "B"}, gate_of_projection),
    "exclusive gate": ("ExclusiveGate", {"bias_init": -1.0}, exclusive),
    "conv1x1": ("Conv1x1", {}, functools.partial(convolved, norm=False)),
    "conv1x1, normalised": ("Conv1x1", {"norm": True}, functools.partial(convolved, norm=True)),
    # A ratio of 0 leaves dropout's place in the equation; what it drops is tested below.
    "dropout": ("Dropout", {"p": 0.0}, functools.partial(constant, scale=1, residual_scale=1)),
}


def sample(shape, *sizes):
    """A shortcut's input and residual of `shape` (in, out, stride), and a cotangent, in float64."""
    in_channels, out_channels, stride = shape
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, in_channels, 4, 4, dtype=torch.float64, generator=generator)
    residual, cotangent = torch.randn(2, 2, out_channels, 4 // stride, 4 // stride, dtype=x.dtype, generator=generator)
    return x.requires_grad_(), residual.requires_grad_(), cotangent


def built(kind, shape, **parameters):
    torch.manual_seed(0)
    h = getattr(shortcuts, kind)(*shape, **parameters).double()
    with torch.no_grad():  # off their initial values, or a forgotten scale of 1 and shift of 0 would not show
        for parameter in h.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return h


@pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_forward_and_gradients_are_those_of_the_equation(name, shape):
    kind, parameters, equation = EQUATIONS[name]
    h = built(kind, shape, **parameters)
    x, residual, cotangent = sample(shape)
    y, wanted = h(x, residual), equation(h, x, residual)
    assert y.shape == residual.shape
    torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)
    inputs = [x, residual, *h.parameters()]
    got, expected = (
        torch.autograd.grad(out, inputs, cotangent, allow_unused=True, materialize_grads=True) for out in (y, wanted)
    )
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_gradients_agree_with_finite_differences(name, shape):
    kind, parameters, _ = EQUATIONS[name]
    h = built(kind, shape, **parameters)
    x, residual, _ = sample(shape)
    # `1 * residual`, because gradcheck perturbs its inputs in place and 'none' returns its input itself.
    assert torch.autograd.gradcheck(lambda x, residual, *_: h(x, 1 * residual), (x, residual, *h.parameters()))


def test_none_returns_the_residual_itself_and_has_no_parameters():
    h = shortcuts.NoShortcut(*CHANGE)
    x, residual, _ = sample(CHANGE)
    assert h(x, residual) is residual
    assert not list(h.parameters())
    assert not list(h.buffers())


def test_option_a_has_no_parameters():
    for shape in (EQUAL, CHANGE):
        assert not list(match_shape(*shape, "A").parameters())


@pytest.mark.parametrize("option", ["A", "B"])
def test_options_a_and_b_return_x_itself_where_the_shape_stays(option):
    x, _, _ = sample(EQUAL)
    assert match_shape(*EQUAL, option)(x) is x


@pytest.mark.parametrize(("option", "shape"), [("B", CHANGE), ("C", CHANGE), ("C", EQUAL)])
def test_options_b_and_c_have_one_matrix_and_a_normalisation(option, shape):
    in_channels, out_channels, _ = shape
    count = sum(p.numel() for p in match_shape(*shape, option).parameters())
    assert count == in_channels * out_channels + 2 * out_channels


def test_stride_alone_is_a_change_of_shape():
    x, _, _ = sample(EQUAL)
    assert match_shape(4, 4, 2, "A")(x).equal(x[:, :, ::2, ::2])


def test_unknown_option_and_fewer_channels_are_refused():
    with pytest.raises(ValueError, match=r"^shortcut\.option=D is invalid: use one of A, B, C, B_bare, C_bare$"):
        match_shape(4, 4, 1, "D")
    with pytest.raises(ValueError, match="from 4 to 2"):
        match_shape(4, 2, 1, "A")


def test_dropout_is_the_identity_in_evaluation():
    for shape in (EQUAL, CHANGE):
        x, residual, _ = sample(shape)
        y = shortcuts.Dropout(*shape, p=0.5).eval()(x, residual)
        assert y.equal(pad(None, x, residual.shape[1], x.shape[2] // residual.shape[2]) + residual)


@pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])
def test_dropout_scaled_in_test_multiplies_x_by_the_share_that_is_kept(shape):
    x, residual, _ = sample(shape)
    y = shortcuts.Dropout(*shape, p=0.2, scaling="test").eval()(x, residual)
    wanted = 0.8 * pad(None, x, residual.shape[1], x.shape[2] // residual.shape[2]) + residual
    torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("scaling", ["train", "test"])
def test_dropout_has_the_same_expectation_in_training_as_in_evaluation(scaling):
    torch.manual_seed(0)
    h = shortcuts.Dropout(8, 8, 1, p=0.5, scaling=scaling)
    x, residual = torch.ones(16, 8, 64, 64), torch.zeros(16, 8, 64, 64)
    mean = {"train": 1.0, "test": 0.5}[scaling]
    assert h.train()(x, residual).mean().item() == pytest.approx(mean, abs=5 * mean / x.numel() ** 0.5)
    assert h.eval()(x, residual).mean().item() == pytest.approx(mean)


@pytest.mark.parametrize("scaling", ["train", "test"])
@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_zeroes_a_share_of_x_and_scales_the_rest(p, scaling):
    torch.manual_seed(0)
    x = torch.randint(1, 100, (4, 8, 64, 64)).double()
    residual = torch.randint(-100, 100, x.shape).double()  # whole numbers, so that y - F is exact at p = 0.5
    kept = shortcuts.Dropout(8, 8, 1, p=p, scaling=scaling).train()(x, residual) - residual
    zero = kept.abs() < 1e-9
    torch.testing.assert_close(kept[~zero], x[~zero] / (1 - p) if scaling == "train" else x[~zero])
    spread = (p * (1 - p) / (64 * 64)) ** 0.5
    # In every channel, so that dropping whole channels fails.
    assert ((zero.double().mean((2, 3)) - p).abs() < 5 * spread).all()


def test_dropout_acts_on_x_in_the_shape_of_the_residual():
    """Dropped before a projection, the zeros would be mixed with the rest."""
    torch.manual_seed(0)
    h = shortcuts.Dropout(4, 8, 2, p=0.5, option="B").train()
    dropped = h(torch.randn(8, 4, 32, 32), torch.zeros(8, 8, 16, 16)) == 0
    assert dropped.float().mean().item() == pytest.approx(0.5, abs=5 * (0.25 / dropped.numel()) ** 0.5)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1, 2.0, float("nan")])
def test_dropout_of_everything_and_ratios_out_of_range_are_refused(p):
    with pytest.raises(ValueError, match=rf"^shortcut\.p={p} is invalid: it must be from 0 to below 1$"):
        shortcuts.Dropout(*EQUAL, p=p)


GATE = {"weight_init": "zero", "decay_bias": True, "option": "A"}
SHIPPED = {
    "identity": ("Identity", {"option": "A"}),
    "none": ("NoShortcut", {}),
    "constant": ("Constant", {"scale": 0.5, "residual_scale": 1.0, "option": "A"}),
    "frozen_gate": ("Constant", {"scale": 0.5, "residual_scale": 0.5, "option": "A"}),
    "gate": ("Gate", {"bias_init": -6.0, **GATE}),
    "gate_b0": ("Gate", {"bias_init": 0.0, **GATE}),
    "exclusive_gate": ("ExclusiveGate", {"bias_init": -6.0, **GATE}),
    **{f"exclusive_gate_b{b}": ("ExclusiveGate", {"bias_init": -float(b), **GATE}) for b in (*range(6), 7)},
    "gate_he": ("Gate", {"bias_init": -6.0, **GATE, "weight_init": "he"}),
    "gate_undecayed": ("Gate", {"bias_init": -6.0, **GATE, "decay_bias": False}),
    "exclusive_gate_he": ("ExclusiveGate", {"bias_init": -6.0, **GATE, "weight_init": "he"}),
    "conv1x1": ("Conv1x1", {"norm": False}),
    "dropout": ("Dropout", {"p": 0.5, "scaling": "train", "option": "A"}),
    "dropout_test": ("Dropout", {"p": 0.5, "scaling": "test", "option": "A"}),
}


def test_shipped_shortcuts_have_the_papers_parameters(resolve):
    found = {}
    for name in options("shortcut"):
        node = resolve(f"shortcut={name}").shortcut
        if node["_target_"].startswith("ablate.contrib."):  # tests/contrib/test_shipped.py
            continue
        parameters = {key: value for key, value in node.items() if key not in LABELS}
        found[name] = (node["_target_"].rpartition(".")[2], parameters)
    assert found == SHIPPED


@pytest.mark.parametrize("name", ["identity", "none", "constant", "gate", "exclusive_gate", "conv1x1", "dropout"])
def test_constructors_have_the_defaults_of_their_files(name):
    kind, parameters = SHIPPED[name]
    declared = inspect.signature(getattr(shortcuts, kind)).parameters.values()
    assert {one.name: one.default for one in declared if one.kind is one.KEYWORD_ONLY} == parameters


@pytest.mark.parametrize(
    ("kind", "convolution", "parameters"),
    [
        ("Gate", "gate", {"weight_init": "he"}),
        ("ExclusiveGate", "gate", {"weight_init": "he"}),
        ("Conv1x1", "projection", {}),
    ],
)
def test_convolutions_of_shortcuts_are_he_initialised_by_fan_out(kind, convolution, parameters):
    torch.manual_seed(0)
    module = getattr(getattr(shortcuts, kind)(32, 128, 1, **parameters), convolution)
    weight = next(module.parameters())
    assert weight.shape[2:] == (1, 1)
    assert weight.std().item() == pytest.approx((2 / 128) ** 0.5, rel=5 / (2 * weight.numel()) ** 0.5)


@pytest.mark.parametrize("weight_init", ["zero", "he"])
@pytest.mark.parametrize("bias", [-6.0, 0.0])
def test_gate_starts_at_its_bias(bias, weight_init):
    assert (shortcuts.Gate(*CHANGE, bias_init=bias, weight_init=weight_init).gate.bias == bias).all()


# 1 - g = 1 / (1 + e^b_g)
@pytest.mark.parametrize(("bias", "openness"), [(-6.0, 0.99752737684), (0.0, 0.5)])
def test_gate_without_weights_is_equally_open_at_every_position_whatever_x(bias, openness):
    x, residual, _ = sample(CHANGE)
    x = 100 * x
    matched = pad(None, x, 5, 2)
    only, exclusive = (
        getattr(shortcuts, kind)(*CHANGE, bias_init=bias).double()(x, residual) for kind in ("Gate", "ExclusiveGate")
    )
    torch.testing.assert_close(only, openness * matched + residual, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(exclusive, openness * matched + (1 - openness) * residual, rtol=1e-10, atol=1e-10)


def test_he_initialised_gate_depends_on_x():
    torch.manual_seed(0)
    x, residual, _ = sample(CHANGE)
    h = shortcuts.Gate(*CHANGE, weight_init="he").double()
    openness = (h(100 * x, residual) - residual) / pad(None, 100 * x, 5, 2)
    assert openness[:, :3].std() > 0.1


@pytest.mark.parametrize(
    ("kind", "parameter", "choices"),
    [("Gate", "weight_init", "zero or he"), ("ExclusiveGate", "weight_init", "zero or he"),
     ("Dropout", "scaling", "train or test")],
)  # fmt: skip
def test_unknown_choice_is_refused_in_one_sentence(kind, parameter, choices):
    with pytest.raises(ValueError, match=rf"^shortcut\.{parameter}=x is invalid: it must be {choices}$"):
        getattr(shortcuts, kind)(*EQUAL, **{parameter: "x"})
