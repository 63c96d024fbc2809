"""Residual networks as a table of stages: those of [A] and [B] for CIFAR, and for ImageNet.

[A] He et al. 2016, arXiv:1512.03385. [B] He et al. 2016, arXiv:1603.05027.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ablate.models.units import Shortcut, activation, conv3x3

WIDTHS = (16, 32, 64)
"""Channels of the three stages for CIFAR, before a unit's expansion ([A] §4.2)."""


class Stage(NamedTuple):
    """Units in a row, and their output channels. The first unit of every stage but the first has stride 2."""

    units: int
    channels: int


def cifar_stages(depth: int, layers: int, width: int = 1) -> list[Stage]:
    """Three stages of n units of `layers` convolutions: depth 3 · layers · n + 2 ([A] §4.2, [B] appendix).

    `width` multiplies the channels, as bottleneck units do by 4. Raises ValueError for another depth.
    """
    units, rest = divmod(depth - 2, 3 * layers)
    if rest or units < 1:
        raise ValueError(f"depth {depth} is not {3 * layers}n+2")
    return [Stage(units, channels * width) for channels in WIDTHS]


class ResNet(nn.Module):
    """3×3 convolution to 16 channels, stages of units, global average pool, linear.

    Maps (N, in_channels, H, W), H and W at least 8, to logits (N, classes). Units initialise themselves; the head
    starts normal with variance 1 / fan-in, bias 0. In a pre-activated network, BN and ReLU after the first convolution,
    before the split into two paths, are the first unit's activation, and there is one more after the last addition ([B]
    appendix): a unit that has `before` and `preactivation(channels)` is treated so.
    """

    def __init__(
        self,
        stages: Sequence[Stage],
        shortcut: Shortcut,
        *,
        in_channels: int,
        classes: int,
        unit: Callable[[int, int, int, Shortcut], nn.Module],
    ) -> None:
        super().__init__()
        channels = WIDTHS[0]
        self.stem = nn.Sequential(conv3x3(in_channels, channels), *activation("BN ReLU", channels))
        self.stages = nn.Sequential()
        for number, stage in enumerate(stages):
            made = nn.Sequential()
            for index in range(stage.units):
                stride = 2 if index == 0 and number > 0 else 1
                made.append(unit(channels, stage.channels, stride, shortcut))
                channels = stage.channels
            self.stages.append(made)
        self.last = nn.Sequential()
        first: Any
        _, first = next(self.units())
        if hasattr(first, "before") and hasattr(first, "preactivation"):
            first.before, self.last = nn.Sequential(), first.preactivation(channels)
        self.head = skip_init(nn.Linear, channels, classes)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.last(self.stages(self.stem(x)))
        with torch.autocast(x.device.type, enabled=False):  # logits in bfloat16 tie: it has 8 significant bits
            return self.head(features.to(self.head.weight.dtype).mean((2, 3)))

    def units(self) -> Iterator[tuple[int, nn.Module]]:
        """Every residual unit in the order of the forward pass, with the 1-based number of its stage."""
        for number, stage in enumerate(self.stages.children(), 1):
            for unit in stage.children():
                yield number, unit
