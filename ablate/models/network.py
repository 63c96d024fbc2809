"""What every network offers to the code that trains, compiles and probes it."""

from collections.abc import Iterator

from torch import Tensor, nn


class Network(nn.Module):
    """A network of residual units in stages, and a linear head.

    Maps images (N, C, H, W) to logits (N, classes). Subclasses set `stages`, each stage's children being its units,
    and `head`.
    """

    stages: nn.Sequential
    head: nn.Linear

    def units(self) -> Iterator[tuple[int, nn.Module]]:
        """Every residual unit in the order of the forward pass, with the 1-based number of its stage."""
        for number, stage in enumerate(self.stages.children(), 1):
            for unit in stage.children():
                yield number, unit

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError
