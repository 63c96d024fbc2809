"""Residual units, each one a figure of the papers. The only code that calls a shortcut.

[A] He et al. 2016, arXiv:1512.03385. [B] He et al. 2016, arXiv:1603.05027.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

Shortcut = Callable[[int, int, int], nn.Module]
"""Builds h from (in_channels, out_channels, stride). What it builds is called as h(x, F(x)) and returns the sum."""


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution without bias, He-initialised ([A] §3.4) by fan-out, as in the papers' Torch releases."""
    conv: nn.Conv2d = skip_init(nn.Conv2d, in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


class Basic(nn.Module):
    """Two 3×3 convolutions in the original order ([A] Fig. 2, [B] Fig. 4a).

    y = ReLU(h(x) + F(x)), F = conv, BN, ReLU, conv, BN. Maps (N, in, H, W) to (N, out, H/stride, W/stride).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            conv3x3(in_channels, out_channels, stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            conv3x3(out_channels, out_channels),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = shortcut(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(add(self.shortcut, x, self.residual(x)))


def add(shortcut: nn.Module, x: Tensor, residual: Tensor) -> Tensor:
    """h(x) + F(x), in float32 even where F is computed in bfloat16.

    bfloat16 has 8 significant bits: in it, 1 − g(x) of a gate at b_g = −7 rounds to 1, and a sum over 54 units loses
    what each unit adds. Raises ValueError if the sum does not have the shape of F(x).
    """
    if torch.is_autocast_enabled(x.device.type):
        x, residual = x.float(), residual.float()
    with torch.autocast(x.device.type, enabled=False):
        y = shortcut(x, residual)
    if y.shape != residual.shape:  # the next unit might broadcast it, or the pooling average it away
        raise ValueError(f"it gives {tuple(y.shape)} where F(x) is {tuple(residual.shape)}")
    return y
