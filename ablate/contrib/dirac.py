"""DiracNet: a plain network whose convolutions start near the identity.

    ablate net=diracnet depth=32

Zagoruyko and Komodakis 2017, arXiv:1706.00388; szagoruyko/diracnets, diracnet.py, version 2. Its depth=32 is
DiracNet-34 of the paper, which counts 6n + 4 layers. Departures: batch normalisation starts with weights of 1, there
uniform from 0 to 1; with a width, the first convolution keeps 16 channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.models.units import Basic, Shortcut


class DiracConv(nn.Conv2d):
    """y = (diag(a) · I + diag(b) · W/‖W‖) x, a 3×3 convolution with learned a and b for each channel of y.

    Of I, each channel of y is the same channel of x, or 0 if x has fewer. ‖W‖ is the norm of each filter. a starts at 1
    and b at 0.1, and weight decay leaves them alone.
    """

    no_decay = ("a", "b")
    identity: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(self.weight)
        self.a = nn.Parameter(torch.ones(out_channels, 1, 1, 1))
        self.b = nn.Parameter(torch.full((out_channels, 1, 1, 1), 0.1))
        self.register_buffer("identity", nn.init.dirac_(torch.empty_like(self.weight)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        direction = functional.normalize(self.weight.flatten(1)).view_as(self.weight)
        return self._conv_forward(x, self.a * self.identity + self.b * direction, None)


class Dirac(Basic):
    """y = h(x) + F(x), where F is relu, DiracConv, BN, relu, DiracConv, BN; of DiracNet, with shortcut=none, y = F(x).

    Where the size changes, F begins with max pooling.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut) -> None:
        super().__init__(in_channels, out_channels, stride, shortcut, order="relu_only_preactivation")
        layers = [
            DiracConv(layer.in_channels, layer.out_channels) if isinstance(layer, nn.Conv2d) else layer
            for layer in self.residual
        ]
        pool = [nn.MaxPool2d(stride, ceil_mode=True)] if stride > 1 else []
        self.residual = nn.Sequential(*pool, *layers)
