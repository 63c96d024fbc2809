"""DenseNet: each unit is given the outputs of all units before it in its stage, side by side.

    ablate net=densenet depth=40 net.growth=12

Huang, Liu, van der Maaten and Weinberger 2017, arXiv:1608.06993, eq. 2; liuzhuang13/DenseNet, models/densenet.lua.
Departures: no dropout; the head starts normal with variance 1 / fan-in, there uniform.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ablate.models.connection import Connection, Position, through
from ablate.models.network import Network
from ablate.models.units import Units, activation, conv, uninitialised


class Concatenate(Connection):
    """y = (x, F(x)), the channels of F(x) after those of x.

    Raises ValueError where a unit changes the size, or does not add channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        if stride != 1 or out_channels <= in_channels:
            raise ValueError("each unit must add channels and keep the size: use net=densenet")
        self.residual_channels = out_channels - in_channels

    def forward(self, state: Tensor, residual: Tensor) -> Tensor:
        return torch.cat([state, residual], 1)


class Transition(nn.Sequential):
    """BN, ReLU, 1×1 convolution and average pooling, which halves the size."""

    def __init__(self, channels: int) -> None:
        super().__init__(*activation("BN ReLU", channels), conv(channels, channels, 1), nn.AvgPool2d(2))


class DenseNet(Network):
    """Three stages of n units, depth 3 · layers · n + 4, after a 3×3 convolution to 16 channels (section 3 and Fig. 2).

    Each unit adds `growth` channels. A transition stands between two stages, BN and ReLU before the global average pool
    and the head. With unit=single in the order full_preactivation, F is BN, ReLU and a 3×3 convolution. Images are 8×8
    or larger. Raises ValueError for another depth, or if growth is below 1.
    """

    smallest = 8

    def __init__(self, in_channels: int, classes: int, *, depth: int, unit: Units, growth: int = 12) -> None:
        super().__init__()
        units, rest = divmod(depth - 4, 3 * unit.layers)
        if rest or units < 1:
            raise ValueError(f"depth {depth} is not {3 * unit.layers}n+4")
        if growth < 1:
            raise ValueError(f"net.growth={growth} is invalid: it must be 1 or more")
        channels = 16
        self.stem = conv(in_channels, channels, 3)
        self.stages = nn.Sequential()
        for stage in (1, 2, 3):
            made = nn.Sequential() if stage == 1 else nn.Sequential(Transition(channels))
            for number in range(1, units + 1):
                position = Position((stage - 1) * units + number, 3 * units, stage, number)
                made.append(unit(channels, channels + growth, 1, position))
                channels += growth
            self.stages.append(made)
        self.last = activation("BN ReLU", channels)
        self.head = uninitialised(nn.Linear, channels, classes)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.last(through(self.stages, self.stem(x), [unit for _, unit in self.units()]))
        with torch.autocast(x.device.type, enabled=False):  # logits in bfloat16 tie: it has 8 significant bits
            return self.head(features.to(self.head.weight.dtype).mean((2, 3)))

    def units(self) -> Iterator[tuple[int, nn.Module]]:
        """Every unit in the order of the forward pass, with the 1-based number of its stage."""
        for number, stage in enumerate(self.stages.children(), 1):
            for unit in stage.children():
                if not isinstance(unit, Transition):
                    yield number, unit
