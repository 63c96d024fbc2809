import math

import pytest
import torch
from torch.nn import functional

from ablate.models.shortcuts import Gate
from ablate.models.units import Basic


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 6, 2)])
def test_basic_unit_is_two_convolutions_then_the_shortcut_then_relu(shape):
    seen = {}

    class Spy(torch.nn.Module):
        def __init__(self, *built):
            super().__init__()
            seen["built"] = built

        def forward(self, x, residual):
            seen["x"], seen["residual"] = x, residual
            return residual - 1

    torch.manual_seed(0)
    unit = Basic(*shape, Spy).double().eval()
    for parameter in unit.parameters():
        torch.nn.init.normal_(parameter)
    first, norm, _, second, last = unit.residual
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    y = unit(x)

    def normed(norm, z):  # at its first statistics, mean 0 and variance 1
        return z / (1 + 1e-5) ** 0.5 * norm.weight[:, None, None] + norm.bias[:, None, None]

    f = functional.conv2d(x, first.weight, stride=shape[2], padding=1)
    f = functional.conv2d(normed(norm, f).clamp(min=0), second.weight, padding=1)
    f = normed(last, f)
    assert seen["built"] == shape
    assert seen["x"] is x
    torch.testing.assert_close(seen["residual"], f)
    torch.testing.assert_close(y, (f - 1).clamp(min=0))


def test_shortcut_and_sum_are_in_float32_where_f_is_in_bfloat16():
    seen = {}

    class Spy(torch.nn.Module):
        def forward(self, x, residual):
            seen["x"], seen["residual"] = x.dtype, residual.dtype
            return x @ x.transpose(2, 3) + residual  # a product, which autocast would compute in bfloat16

    unit = Basic(16, 16, 1, lambda *_: Spy())
    unit.residual.register_forward_hook(lambda _, __, f: seen.update(f=f.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = unit(torch.rand(2, 16, 8, 8))
    assert (seen["x"], seen["residual"], y.dtype) == (torch.float32,) * 3
    assert seen["f"] == torch.bfloat16


def test_gate_at_minus_7_is_not_rounded_in_bfloat16():
    """In bfloat16 1 − g = 0.9991 would be 1."""
    gate = Gate(4, 4, 1, bias_init=-7.0)
    torch.nn.init.zeros_(gate.gate.weight)
    unit = Basic(4, 4, 1, lambda *_: gate)
    torch.nn.init.zeros_(unit.residual[-1].weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = unit(torch.ones(2, 4, 8, 8))
    torch.testing.assert_close(y, torch.full_like(y, 1 - 1 / (1 + math.exp(7))))


@pytest.mark.parametrize(
    "wrong",
    [lambda y: y[:, :1], lambda y: y.mean((2, 3), keepdim=True), lambda y: y[:1]],
    ids=["channels", "pixels", "images"],
)
def test_sum_of_another_shape_is_refused(wrong):
    class Wrong(torch.nn.Module):
        def forward(self, x, residual):
            return wrong(residual)

    unit = Basic(4, 6, 2, lambda *_: Wrong())
    with pytest.raises(ValueError, match=r"it gives \(.*\) where F\(x\) is \(2, 6, 4, 4\)"):
        unit(torch.rand(2, 4, 8, 8))
