"""The convolution of x and F(x) against the equation, element by element in float64."""

import pytest
import torch
from torch.nn import functional

from ablate.contrib.fused import Fused
from tests.models.test_shortcuts import CHANGE, EQUAL


@pytest.mark.parametrize("shape", [EQUAL, CHANGE], ids=["equal", "change"])
def test_sum_is_a_matrix_times_both(shape):
    in_channels, out_channels, stride = shape
    torch.manual_seed(0)
    h = Fused(*shape).double()
    x = torch.randn(2, in_channels, 8, 8, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(2, out_channels, 8 // stride, 8 // stride, dtype=torch.float64, requires_grad=True)
    padded = functional.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, out_channels - in_channels))
    w = h.fuse.weight[:, :, 0, 0]
    expected = torch.einsum("oc,nchw->nohw", w[:, :out_channels], padded)
    expected = expected + torch.einsum("oc,nchw->nohw", w[:, out_channels:], residual)
    found = h(x, residual)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    for one, other in zip(
        torch.autograd.grad(found.square().sum(), [x, residual, h.fuse.weight]),
        torch.autograd.grad(expected.square().sum(), [x, residual, h.fuse.weight]),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert h.fuse.weight.shape == (out_channels, 2 * out_channels, 1, 1)
