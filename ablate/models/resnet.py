"""The CIFAR ResNet of [A] §4.2: three stages of n units at full, half and quarter resolution; depth 6n+2."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ablate.models.units import Basic, Shortcut

WIDTHS = (16, 32, 64)


class ResNet(nn.Module):
    """3×3 convolution to 16 channels, three stages, global average pool, linear.

    Maps (N, in_channels, H, W), H and W at least 8, to logits (N, classes). The first unit of stages two and
    three halves the resolution. `generator` draws the initial weights of all that is not a shortcut, so networks
    that differ in h alone start from the same F.
    """

    def __init__(
        self,
        depth: int,
        shortcut: Shortcut,
        *,
        in_channels: int,
        classes: int,
        unit: Callable[[int, int, int, Shortcut], nn.Module] = Basic,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        units, rest = divmod(depth - 2, 3 * 2)
        if rest or units < 1:
            raise ValueError(f"depth {depth} is not 6n+2")
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, WIDTHS[0], 3, padding=1, bias=False),
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
        self.head = nn.Linear(channels, classes)
        self._initialise(generator)

    def forward(self, x: Tensor) -> Tensor:
        features = self.stages(self.stem(x))
        with torch.autocast(x.device.type, enabled=False):  # logits in bfloat16 tie: it has 8 significant bits
            return self.head(features.to(self.head.weight.dtype).mean((2, 3)))

    def units(self) -> Iterator[tuple[int, nn.Module]]:
        """Every residual unit in the order of the forward pass, with the 1-based number of its stage."""
        for number, stage in enumerate(self.stages.children(), 1):
            for unit in stage.children():
                yield number, unit

    def _initialise(self, generator: torch.Generator | None) -> None:
        """He initialisation ([A] §3.4), by fan-out as the papers' Torch releases have it."""
        for name, module in self.named_modules():
            if "shortcut" in name.split("."):
                continue
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="linear", generator=generator)
                nn.init.zeros_(module.bias)
