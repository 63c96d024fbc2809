"""Residual units, each one a figure of the papers. The only code that calls a shortcut.

[A] He et al. 2016, arXiv:1512.03385. [B] He et al. 2016, arXiv:1603.05027.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Shortcut = Callable[[int, int, int], nn.Module]
"""Builds h from (in_channels, out_channels, stride). What it builds is called as h(x, F(x)) and returns the sum."""


class Basic(nn.Module):
    """Two 3×3 convolutions in the original order ([A] Fig. 2, [B] Fig. 4a).

    y = ReLU(h(x) + F(x)), F = conv, BN, ReLU, conv, BN. Maps (N, in, H, W) to (N, out, H/stride, W/stride).
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
