"""Normaliser-free residual networks: scaled weight-standardised convolutions, and F of an input of variance 1.

    ablate net=nf_resnet depth=56

Brock, De and Smith 2021, arXiv:2101.08692, and Brock et al. 2021, arXiv:2102.06171; deepmind-research, nfnets/base.py,
nf_resnet.py and experiment.py. Departures: F has two 3×3 convolutions, there a bottleneck; no units are dropped and no
gradient is clipped.
"""

import math

import torch
from torch import Tensor, nn

from ablate.models import resnet
from ablate.models.connection import read
from ablate.models.resnet import ResNet
from ablate.models.units import Basic, Shortcut, Units, add

GAMMA = math.sqrt(2 / (1 - 1 / math.pi))
"""γ, with which γ · relu(x) of a normal x of variance 1 has variance 1 (2101.08692, section 3); base.py has 1.71396."""


class StandardConv(nn.Conv2d):
    """y = conv(x; g · (W − mean(W)) / √(n · var(W))) + b, with mean, variance, g and b of each filter of n numbers.

    g starts at 1 and b at 0, and weight decay leaves them alone. n · var(W) is at least 1e-4.
    """

    no_decay = ("gain", "bias")

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int = 1) -> None:
        super().__init__(in_channels, out_channels, size, stride, padding=size // 2)
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]
        self.gain = nn.Parameter(torch.ones(out_channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), correction=0, keepdim=True)
        scale = self.gain * (variance * self.weight[0].numel()).clamp(min=1e-4).rsqrt()
        return self._conv_forward(x, scale * (self.weight - mean), self.bias)


class ScaledReLU(nn.Module):
    """y = γ · relu(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return GAMMA * x.relu()


class Projected(nn.Module):
    """y = x + F(x), with a 1×1 StandardConv of x where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        changes = in_channels != out_channels or stride != 1
        self.match = StandardConv(in_channels, out_channels, 1, stride) if changes else nn.Identity()

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.match(x) + residual


class NormFree(Basic):
    """y = h(x) + α · s · F(γ · relu(x) / β), where F is StandardConv, γ · relu, StandardConv.

    s is a learned number, 0 at the start, that weight decay leaves alone. β² is the variance that x is expected to have
    at the start if s were 1; the network sets it. Where the shape changes h is given what F is given.
    Raises ValueError unless alpha is above 0, and in a network that sets no β.
    """

    norm = False
    no_decay = ("gain",)

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut, *, alpha: float = 0.2
    ) -> None:
        super().__init__(in_channels, out_channels, stride, shortcut, order="full_preactivation")
        if alpha <= 0:
            raise ValueError(f"unit.alpha={alpha} is invalid: it must be above 0")
        out_of_f = getattr(self.shortcut, "residual_channels", out_channels)
        self.residual = nn.Sequential(
            StandardConv(in_channels, out_channels, 3, stride), ScaledReLU(), StandardConv(out_channels, out_of_f, 3)
        )
        self.before, self.activate = nn.Sequential(), ScaledReLU()
        self.gain = nn.Parameter(torch.zeros(()))
        self.alpha, self.beta = alpha, math.nan

    def forward(self, x: Tensor) -> Tensor:
        if math.isnan(self.beta):
            raise ValueError("unit=normfree needs the expected variance of x: use net=nf_resnet")
        activated = self.activate(read(self.shortcut, x)) / self.beta
        given = activated if self.changes_shape and not self.stateful else x
        return add(self.shortcut, given, self.alpha * self.gain * self.residual(activated))

    def preactivation(self, channels: int) -> nn.Module:
        return ScaledReLU()


class Head(nn.Linear):
    """y = W x + c, with W normal of standard deviation 0.01 and c = 0 at the start; weight decay leaves c alone."""

    no_decay = ("bias",)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight, std=0.01)
        nn.init.zeros_(self.bias)


def cifar(in_channels: int, classes: int, *, depth: int, width: float, unit: Units) -> ResNet:
    """The network of ablate.models.resnet.cifar with a StandardConv for its stem, and β in its units.

    Each unit adds α² to the expected variance. The first of a stage brings it back to 1, because h standardises there
    if it is Projected; what another h does is not in β.
    Raises ValueError for other units than NormFree, and for another depth.
    """
    network = resnet.cifar(in_channels, classes, depth=depth, width=width, unit=unit)
    network.stem = StandardConv(in_channels, 16, 3)
    variance, before = 1.0, 0
    for stage, one in network.units():
        if not isinstance(one, NormFree):
            raise ValueError("its units must be NormFree: use unit=normfree")
        one.beta = math.sqrt(variance)
        variance = (variance if stage == before else 1.0) + one.alpha**2
        before = stage
    network.head = Head(network.head.in_features, classes)
    return network
