"""The CIFAR ResNet of [A] §4.2: three stages of n units at full, half and quarter resolution; depth 6n+2."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from ablate.models.units import Basic, Shortcut, conv3x3

WIDTHS = (16, 32, 64)


class ResNet(nn.Module):
    """3×3 convolution to 16 channels, three stages, global average pool, linear.

    Maps (N, in_channels, H, W), H and W at least 8, to logits (N, classes). The first unit of stages two and
    three halves the resolution. Units initialise themselves; the head starts normal with variance 1 / fan-in, bias 0.
    """

    def __init__(
        self,
        depth: int,
        shortcut: Shortcut,
        *,
        in_channels: int,
        classes: int,
        unit: Callable[[int, int, int, Shortcut], nn.Module] = Basic,
    ) -> None:
        super().__init__()
        units, rest = divmod(depth - 2, 3 * 2)
        if rest or units < 1:
            raise ValueError(f"depth {depth} is not 6n+2")
        self.stem = nn.Sequential(
            conv3x3(in_channels, WIDTHS[0]),
            nn.BatchNorm2d(WIDTHS[0]),
            nn.ReLU(inplace=True),
        )
        channels, stages = WIDTHS[0], []
        for width in WIDTHS:
            stage = nn.Sequential()
            for index in range(units):
                stride = 2 if index == 0 and width != WIDTHS[0] else 1
                stage.append(unit(channels, width, stride, shortcut))
                channels = width
            stages.append(stage)
        self.stages = nn.Sequential(*stages)
        self.head = skip_init(nn.Linear, channels, classes)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        features = self.stages(self.stem(x))
        with torch.autocast(x.device.type, enabled=False):  # logits in bfloat16 tie: it has 8 significant bits
            return self.head(features.to(self.head.weight.dtype).mean((2, 3)))

    def units(self) -> Iterator[tuple[int, nn.Module]]:
        """Every residual unit in the order of the forward pass, with the 1-based number of its stage."""
        for number, stage in enumerate(self.stages.children(), 1):
            for unit in stage.children():
                yield number, unit
