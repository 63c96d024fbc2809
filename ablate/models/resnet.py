"""Residual networks as a table of stages: those of [A] and [B] for CIFAR, and for ImageNet.

[A] He et al. 2016, arXiv:1512.03385. [B] He et al. 2016, arXiv:1603.05027.

    ablate net=resnet50 data=folder data.root=images
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ablate.models.connection import Position, through
from ablate.models.network import Network
from ablate.models.units import Units, activation, conv, uninitialised


class Stage(NamedTuple):
    """Units in a row, and their output channels. The first unit of every stage but the first has stride 2."""

    units: int
    channels: int


def cifar(in_channels: int, classes: int, *, depth: int, width: float, unit: Units) -> "ResNet":
    """Three stages of n units, depth 3 · layers · n + 2, after a 3×3 convolution ([A] §4.2, [B] appendix).

    Their channels are 16, 32 and 64, times `width`, rounded down, and the unit's expansion; the first convolution has
    16. Images are 8×8 or larger. Raises ValueError for another depth.
    """
    units, rest = divmod(depth - 2, 3 * unit.layers)
    if rest or units < 1:
        raise ValueError(f"depth {depth} is not {3 * unit.layers}n+2")
    stem = nn.Sequential(conv(in_channels, 16, 3), *first_activation(unit, 16))
    stages = [Stage(units, int(channels * width) * unit.expansion) for channels in (16, 32, 64)]
    return ResNet(stem, 16, stages, unit, classes, smallest=8)


def imagenet(in_channels: int, classes: int, *, stages: Sequence[int], width: float, unit: Units) -> "ResNet":
    """Stages of so many units after a 7×7 convolution and max pooling, both of stride 2 ([A] Table 1).

    The channels of the stages are 64, 128, 256, ..., times `width` and the unit's expansion; the first convolution has
    64. Images are 32×32 or larger: 224×224 in the papers.
    """
    stem = nn.Sequential(conv(in_channels, 64, 7, 2), *first_activation(unit, 64), nn.MaxPool2d(3, 2, padding=1))
    table = [Stage(units, int(64 * 2**number * width) * unit.expansion) for number, units in enumerate(stages)]
    return ResNet(stem, 64, table, unit, classes, smallest=32)


def first_activation(unit: Units, channels: int) -> nn.Sequential:
    """What follows the first convolution: batch normalisation, if the units have it, and ReLU."""
    return activation("BN ReLU" if unit.norm else "ReLU", channels)


class ResNet(Network):
    """A stem, stages of units, global average pool, linear.

    Maps (N, in_channels, H, W), H and W at least `smallest`, to logits (N, classes); the stem's output has `channels`.
    Units initialise themselves; the head starts normal with variance 1 / fan-in, bias 0. In a pre-activated network, BN
    and ReLU after the first convolution, before the split into two paths, are the first unit's activation, and there is
    one more after the last addition ([B] appendix): a unit that has `before` and `preactivation(channels)` is treated
    so.
    """

    def __init__(
        self, stem: nn.Module, channels: int, stages: Sequence[Stage], unit: Units, classes: int, *, smallest: int
    ) -> None:
        super().__init__()
        self.smallest = smallest
        self.stem = stem
        self.stages = nn.Sequential()
        count, total = 0, sum(stage.units for stage in stages)
        for number, stage in enumerate(stages, 1):
            made = nn.Sequential()
            for within in range(1, stage.units + 1):
                count += 1
                stride = 2 if within == 1 and number > 1 else 1
                made.append(unit(channels, stage.channels, stride, Position(count, total, number, within)))
                channels = stage.channels
            self.stages.append(made)
        self.last = nn.Sequential()
        first: Any
        _, first = next(self.units())
        if hasattr(first, "before") and hasattr(first, "preactivation"):
            first.before, self.last = nn.Sequential(), first.preactivation(channels)
        self.head = uninitialised(nn.Linear, channels, classes)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.last(through(self.stages, self.stem(x), [unit for _, unit in self.units()]))
        with torch.autocast(x.device.type, enabled=False):  # logits in bfloat16 tie: it has 8 significant bits
            return self.head(features.to(self.head.weight.dtype).mean((2, 3)))

    def units(self) -> Iterator[tuple[int, nn.Module]]:
        """Every residual unit in the order of the forward pass, with the 1-based number of its stage."""
        for number, stage in enumerate(self.stages.children(), 1):
            for unit in stage.children():
                yield number, unit
