"""A shortcut that joins x and F(x) by a convolution in place of a sum.

ablate shortcut=fused
"""

import torch
from torch import Tensor, nn

from ablate.models.shortcuts import match_shape
from ablate.models.units import conv


class Fused(nn.Module):
    """y = W concat(x, F(x)), a 1×1 convolution.

    The baseline dense_shortcut of MLS-Bench's task dl-residual-connection, "concatenates shortcut and residual features
    then fuses with 1x1 conv". Its code could not be read: whether a normalisation follows, and how W starts, are
    choices made here (none; He's initialisation).
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, option: str = "A") -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.fuse = conv(2 * out_channels, out_channels, 1)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        y: Tensor = self.fuse(torch.cat([self.match(x), residual], 1))
        return y
