"""Units whose F is 0 at the start.

ablate unit=zero_gamma
"""

from typing import Any

from torch import nn

from ablate.models.units import Basic, Bottleneck


class ZeroGamma(Basic):
    """y = x + F(x) with F(x) = 0 at the start: the last batch normalisation of F starts with γ = 0.

    Goyal et al. 2017, arXiv:1706.02677, section 5.1; torchvision's zero_init_residual. In the orders whose F ends in a
    convolution, that convolution starts at 0, as in timm/models/resnetv2.py, zero_init_last. Raises ValueError for an
    order whose F ends in a ReLU.
    """

    def __init__(self, *shape: Any, **parameters: Any) -> None:
        super().__init__(*shape, **parameters)
        zero_last(self.residual)


class ZeroGammaBottleneck(Bottleneck):
    """y = x + F(x) with F(x) = 0 at the start, and a bottleneck for F."""

    def __init__(self, *shape: Any, **parameters: Any) -> None:
        super().__init__(*shape, **parameters)
        zero_last(self.residual)


def zero_last(residual: nn.Sequential) -> None:
    """Set the weight of the last layer that has one to 0. Raises ValueError if a ReLU follows it."""
    if isinstance(residual[-1], nn.ReLU):  # its gradient at 0 is 0, so F would stay 0
        raise ValueError("F ends in a ReLU, through which no gradient would reach what starts at 0: use another order")
    weights = [layer.weight for layer in residual if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d))]
    nn.init.zeros_(weights[-1])
