"""Fixup: residual networks that train without normalisation, by their initial weights.

    ablate net=fixup depth=110

Zhang, Dauphin and Ma 2019, arXiv:1901.09321, Algorithm 1; hongyi-zhang/Fixup, cifar/models/fixup_resnet_cifar.py and
cifar/cifar_train.py. Departures: the first convolution of the network starts by He's rule, there by torch's; images are
not mixed up.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from ablate.models import resnet
from ablate.models.connection import Position
from ablate.models.resnet import ResNet
from ablate.models.units import Basic, Shortcut, Units, add


class Bias(nn.Module):
    """y = x + b, with one learned number b, 0 at the start, at a tenth of the learning rate."""

    rate_factors: ClassVar = {"bias": 0.1}

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class Scale(nn.Module):
    """y = s · x, with one learned number s, 1 at the start, at a tenth of the learning rate."""

    rate_factors: ClassVar = {"scale": 0.1}

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


class Fixup(Basic):
    """y = relu(h(x) + s · conv(relu(conv(x + b₁) + b₂) + b₃) + b₄), with learned numbers s and b.

    Of L units, the first convolution starts by He's rule times L^(−1/2), the last at 0. Where the shape changes h is
    given x + b₁.
    """

    norm = False

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut, *, position: Position
    ) -> None:
        super().__init__(in_channels, out_channels, stride, shortcut)
        first, last = (layer for layer in self.residual if isinstance(layer, nn.Conv2d))
        first.weight.data *= position.units**-0.5
        nn.init.zeros_(last.weight)
        self.first_bias = Bias()
        self.residual = nn.Sequential(first, Bias(), nn.ReLU(), Bias(), last, Scale(), Bias())

    def forward(self, x: Tensor) -> Tensor:
        shifted = self.first_bias(x)
        return self.after(add(self.shortcut, shifted if self.changes_shape else x, self.residual(shifted)))


class Head(nn.Linear):
    """y = W x + c, with W = 0 and c = 0 at the start, c at a tenth of the learning rate."""

    rate_factors: ClassVar = {"bias": 0.1}

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def cifar(in_channels: int, classes: int, *, depth: int, width: float, unit: Units) -> ResNet:
    """The network of ablate.models.resnet.cifar with a bias before its first ReLU and before its head, which is 0.

    Raises ValueError for units with batch normalisation, and for another depth.
    """
    if unit.norm:
        raise ValueError("its units must be without batch normalisation: use unit=fixup")
    network = resnet.cifar(in_channels, classes, depth=depth, width=width, unit=unit)
    first, relu = network.stem.children()
    network.stem = nn.Sequential(first, Bias(), relu)
    network.last = nn.Sequential(network.last, Bias())
    network.head = Head(network.head.in_features, classes)
    return network
