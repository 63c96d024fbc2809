"""DeepNorm for units that normalise after the addition: x is scaled up, and the initial weights of F down.

ablate shortcut=deepnorm unit=deepnorm
"""

from torch import Tensor, nn

from ablate.models.connection import Position
from ablate.models.shortcuts import match_shape
from ablate.models.units import Basic, Shortcut


class DeepNorm(nn.Module):
    """y = α · x + F(x), with α = (2N)^(1/4) and 2N units in the network.

    Wang et al. 2022, arXiv:2203.00555, Fig. 2, decoder-only; torchscale/architecture/decoder.py. N is the number of
    layers there, each of which adds twice, to attention and to a feed-forward part: L units are L/2 layers, and α is
    L^(1/4). It belongs with unit=deepnorm, whose normalisation follows the addition. Departures: batch normalisation
    and ReLU in place of layer normalisation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, position: Position, option: str = "A"
    ) -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.alpha = position.units**0.25

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.alpha * self.match(x) + residual


class DeepNormUnit(Basic):
    """y = relu(BN(h(x) + F(x))), with the initial weights of F divided by (8N)^(1/4), and 2N units in the network.

    torchscale/architecture/decoder.py divides both layers of the feed-forward part, so both convolutions are divided
    here; batch normalisation between them takes back what that does to the first one's output.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        shortcut: Shortcut,
        *,
        position: Position,
        order: str = "bn_after_addition",
    ) -> None:
        super().__init__(in_channels, out_channels, stride, shortcut, order=order)
        for layer in self.residual:
            if isinstance(layer, nn.Conv2d):
                layer.weight.data /= (4 * position.units) ** 0.25
