"""The highway network of 2025, whose gate is as deep as F.

ablate shortcut=highway unit.order=relu_before_addition
"""

import torch
from torch import Tensor, nn

from ablate.models.shortcuts import match_shape
from ablate.models.units import conv3x3


class Highway(nn.Module):
    """y = (1 − T(x)) · x + T(x) · relu(F(x)), with T(x) = σ(BN conv relu BN conv x), its convolutions 3×3.

    Srivastava et al. 2015, arXiv:1505.00387, eq. 3, in the form of 2025: flukeskywalker/highway-resnet-comparison,
    HighwayBlock in resnet.py. The bias of T's last batch normalisation starts at `bias_init`. There is no ReLU after
    the sum: unit.order=relu_before_addition, whose F already ends in a ReLU. Where the shape changes, T has the stride
    in its first convolution. Departure: convolutions start normal by fan-out, there by fan-in.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, bias_init: float = -6.0, option: str = "B"
    ) -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        last = nn.BatchNorm2d(out_channels)
        nn.init.constant_(last.bias, bias_init)
        self.gate = nn.Sequential(
            conv3x3(in_channels, out_channels, stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            conv3x3(out_channels, out_channels),
            last,
        )

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        t = torch.sigmoid(self.gate(x))
        return (1 - t) * self.match(x) + t * residual.relu()
