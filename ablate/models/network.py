"""What every network offers to training, probes and cost."""

from collections.abc import Iterator

from torch import nn


class Network(nn.Module):
    """Maps images (N, C, H, W), H and W at least `smallest`, to logits (N, classes).

    Its constructor takes `in_channels` and `classes`, its own parameters by name, and by name those of `depth`, `width`
    and `unit` that it uses. `unit` is a `Units`: a network without it has no shortcuts.
    """

    smallest = 1

    def units(self) -> Iterator[tuple[int, nn.Module]]:
        """Every residual unit in the order of the forward pass, with the 1-based number of its stage."""
        return iter(())
