"""A network's parameters, for writing its forward pass a second time from the paper's equations."""

import pytest
import torch
from torch.nn import functional


class Slow:
    """`p` and `buffers` of a network by name, and the two operations that papers take for granted."""

    def __init__(self, network):
        self.p = {name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()}
        self.buffers = {name: value.clone() for name, value in network.named_buffers()}
        self.training = network.training

    def conv(self, name, x, stride=1):
        weight = self.p[f"{name}.weight"]
        return functional.conv2d(x, weight, None, stride, weight.shape[-1] // 2)

    def bn(self, name, x):
        if self.training:
            mean = x.mean((0, 2, 3))
            variance = ((x - mean[:, None, None]) ** 2).mean((0, 2, 3))
        else:
            mean, variance = self.buffers[f"{name}.running_mean"], self.buffers[f"{name}.running_var"]
        scale, shift, mean, variance = (
            one[:, None, None] for one in (self.p[f"{name}.weight"], self.p[f"{name}.bias"], mean, variance)
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def head(self, x):
        return x.mean((2, 3)) @ self.p["head.weight"].T + self.p["head.bias"]


def compare(network, forward, shape=(1, 8, 8)):
    """Check logits and gradients of `network` against `forward(slow, images)`, in training, then in evaluation."""
    torch.manual_seed(0)
    network.double()
    for parameter in network.parameters():  # off their initial values
        parameter.data += 0.1 * torch.randn_like(parameter)
    images, cotangent = torch.randn(6, *shape, dtype=torch.float64), torch.randn(6, 10, dtype=torch.float64)
    for training in (True, False):
        slow = Slow(network.train(training))
        ours, theirs = network(images), forward(slow, images)
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
        slopes = torch.autograd.grad(ours, [*network.parameters()], cotangent)
        wanted = torch.autograd.grad(theirs, [*slow.p.values()], cotangent)
        for name, one, other in zip(slow.p, slopes, wanted, strict=True):
            assert torch.allclose(one, other, rtol=1e-6, atol=1e-9), name
            assert other.any(), name
        assert theirs.std().item() != pytest.approx(0, abs=1e-3)


def pad(x, channels, stride):
    """Option A of [A]."""
    x = x[:, :, ::stride, ::stride]
    return torch.cat([x, x.new_zeros(x.shape[0], channels - x.shape[1], *x.shape[2:])], 1)
