"""Residual units: the one place that calls a shortcut."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Shortcut = Callable[[int, int, int], nn.Module]
"""Builds h from (in_channels, out_channels, stride); what it builds is called as h(x, F(x))."""


class Basic(nn.Module):
    """Two 3×3 convolutions in the original order ([A] Fig. 2, [B] Fig. 4a).

    F = conv, BN, ReLU, conv, BN; then h(x) + F(x); then ReLU. Maps (N, in, H, W) to (N, out, H/stride, W/stride).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(add(self.shortcut, x, self.residual(x)))


def add(shortcut: nn.Module, x: Tensor, residual: Tensor) -> Tensor:
    """h(x) + F(x), in float32 where the rest of the network is computed in bfloat16.

    bfloat16 has 8 bits: there 1 - g(x) of a gate at b_g = -7 is 1, and a sum over 54 units loses what each adds.
    Raises ValueError where the sum has not F(x)'s shape.
    """
    device = x.device.type
    if not torch.is_autocast_enabled(device):
        return _of_the_shape(residual, shortcut(x, residual))
    with torch.autocast(device, enabled=False):
        return _of_the_shape(residual, shortcut(x.float(), residual.float()))


def _of_the_shape(residual: Tensor, y: Tensor) -> Tensor:
    if y.shape != residual.shape:  # the next unit might broadcast it, or average it away
        raise ValueError(f"it gives {tuple(y.shape)} where F(x) is {tuple(residual.shape)}")
    return y
