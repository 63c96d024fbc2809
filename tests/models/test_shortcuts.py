"""Every shortcut against its equation, written here a second time in einsum arithmetic, float64."""

import functools

import pytest
import torch
from hydra.utils import get_object

from ablate.models import shortcuts
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


def built(kind, shape, **own):
    torch.manual_seed(0)
    h = getattr(shortcuts, kind)(*shape, **own).double()
    with torch.no_grad():  # off their initial values, or a forgotten scale of 1 and shift of 0 would not show
        for parameter in h.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return h


@pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_forward_and_gradients_are_those_of_the_equation(name, shape):
    kind, own, equation = EQUATIONS[name]
    h = built(kind, shape, **own)
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
    kind, own, _ = EQUATIONS[name]
    h = built(kind, shape, **own)
    x, residual, _ = sample(shape)
    # `1 * residual`, because gradcheck perturbs its inputs in place and 'none' returns its input itself.
    assert torch.autograd.gradcheck(lambda x, residual, *_: h(x, 1 * residual), (x, residual, *h.parameters()))


def test_none_gives_back_the_residual_itself_and_has_nothing_to_learn():
    h = shortcuts.NoShortcut(*CHANGE)
    x, residual, _ = sample(CHANGE)
    assert h(x, residual) is residual
    assert not list(h.parameters())
    assert not list(h.buffers())


def test_option_a_has_nothing_to_learn():
    for shape in (EQUAL, CHANGE):
        assert not list(match_shape(*shape, "A").parameters())


@pytest.mark.parametrize("option", ["A", "B"])
def test_options_a_and_b_leave_an_equal_shape_alone(option):
    x, _, _ = sample(EQUAL)
    assert match_shape(*EQUAL, option)(x) is x


@pytest.mark.parametrize(("option", "shape"), [("B", CHANGE), ("C", CHANGE), ("C", EQUAL)])
def test_options_b_and_c_project_by_one_matrix_and_a_normalisation(option, shape):
    in_channels, out_channels, _ = shape
    count = sum(p.numel() for p in match_shape(*shape, option).parameters())
    assert count == in_channels * out_channels + 2 * out_channels


def test_a_stride_alone_is_a_change_of_shape():
    x, _, _ = sample(EQUAL)
    assert match_shape(4, 4, 2, "A")(x).equal(x[:, :, ::2, ::2])


def test_an_option_that_is_none_and_fewer_channels_are_refused():
    with pytest.raises(ValueError, match="'D' is not one of A, B, C"):
        match_shape(4, 4, 1, "D")
    with pytest.raises(ValueError, match="from 4 to 2"):
        match_shape(4, 2, 1, "A")


def test_dropout_is_the_identity_when_evaluating():
    for shape in (EQUAL, CHANGE):
        x, residual, _ = sample(shape)
        y = shortcuts.Dropout(*shape, p=0.5).eval()(x, residual)
        assert y.equal(pad(None, x, residual.shape[1], x.shape[2] // residual.shape[2]) + residual)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_dropout_zeroes_a_share_of_x_scales_the_rest_and_spares_the_residual(p):
    torch.manual_seed(0)
    x = torch.randint(1, 100, (4, 8, 64, 64)).double()
    residual = torch.randint(-100, 100, x.shape).double()  # whole numbers, so that y - F is exact at p = 0.5
    kept = shortcuts.Dropout(8, 8, 1, p=p).train()(x, residual) - residual
    zero = kept.abs() < 1e-9
    torch.testing.assert_close(kept[~zero], x[~zero] / (1 - p))
    spread = (p * (1 - p) / (64 * 64)) ** 0.5
    # In every channel, so that dropping whole channels fails.
    assert ((zero.double().mean((2, 3)) - p).abs() < 5 * spread).all()


@pytest.mark.parametrize(
    ("name", "bias"),
    [("gate", -6), ("gate_b0", 0), ("exclusive_gate", -6), ("exclusive_gate_b7", -7)]
    + [(f"exclusive_gate_b{b}", -b) for b in range(6)],
)
def test_a_gate_starts_at_the_bias_of_its_row(name, bias, resolve):
    gate = from_conf(name, resolve)(16, 16, 1).gate
    assert gate.kernel_size == (1, 1)
    assert (gate.bias == bias).all()
    assert gate.weight.std().item() == pytest.approx((2 / 16) ** 0.5, rel=0.2)


def test_frozen_gating_is_half_of_each(resolve):
    x, residual, _ = sample(EQUAL)
    h = from_conf("frozen_gate", resolve)(*EQUAL)
    assert h(x, residual).equal(0.5 * x + 0.5 * residual)
    assert not list(h.parameters())


def test_constant_scaling_is_half_of_the_shortcut_alone(resolve):
    x, residual, _ = sample(EQUAL)
    assert from_conf("constant", resolve)(*EQUAL)(x, residual).equal(0.5 * x + residual)


def from_conf(name, resolve):
    node = resolve(f"shortcut={name}").shortcut
    own = {key: value for key, value in node.items() if key not in ("name", "_target_")}
    return functools.partial(get_object(node["_target_"]), **own)
