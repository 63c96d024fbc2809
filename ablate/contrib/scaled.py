"""Shortcuts that add a scaled F(x): SkipInit, ReZero, LayerScale, 1/√L, weighted residuals, stochastic depth.

They are built and called as those of ablate/models/shortcuts.py, and x has been given the shape of F(x) likewise.

    ablate shortcut=skipinit
    ablate shortcut=rezero unit.order=relu_before_addition
"""

import torch
from torch import Tensor, nn

from ablate.models.connection import Position
from ablate.models.shortcuts import match_shape


class SkipInit(nn.Module):
    """y = x + α · F(x), with a learned number α that starts at `init`.

    De and Smith 2020, arXiv:2002.10444; deepmind-research, nfnets/skipinit_resnet.py. Departures: there α replaces
    batch normalisation, which F has here; and x is projected where the shape changes, as with option=B_bare.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, init: float = 0.0, option: str = "A"
    ) -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.alpha = nn.Parameter(torch.tensor(float(init)))

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.match(x) + self.alpha * residual

    def scalars(self) -> dict[str, Tensor]:
        return {"alpha": self.alpha}


class ReZero(SkipInit):
    """y = x + α · relu(F(x)), with a learned number α that starts at `init`.

    Bachlechner et al. 2020, arXiv:2003.04887, in the form of their ResNet: tbachlechner/ReZero-examples,
    ReZNet-6x_faster_ResNet_training_via_ReZero.ipynb. There is no ReLU after the sum: unit.order=relu_before_addition,
    whose F already ends in a ReLU, so that relu(F(x)) = F(x). Departure: there option A pads with zero channels before
    and after x, here after it.
    """

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.match(x) + self.alpha * residual.relu()


class LayerScale(nn.Module):
    """y = x + λ · F(x), with a learned number λ for each channel.

    Touvron et al. 2021, arXiv:2103.17239, eq. 4. λ starts at `init`; by default as in the paper at 0.1 up to a depth of
    18, 1e-5 up to 24, 1e-6 beyond. Departures: a transformer's layer adds twice, and a unit counts as a layer here;
    there is a normalisation at the end of F. deit/cait_models.py starts all λ at 1e-4 unless told otherwise.
    Raises ValueError unless init is above 0.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        position: Position,
        init: float | None = None,
        option: str = "A",
    ) -> None:
        super().__init__()
        if init is None:
            init = 0.1 if position.units <= 18 else 1e-5 if position.units <= 24 else 1e-6
        if init <= 0:
            raise ValueError(f"shortcut.init={init} is invalid: it must be above 0, or null")
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.scale = nn.Parameter(torch.full((out_channels, 1, 1), float(init)))

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.match(x) + self.scale * residual

    def scalars(self) -> dict[str, Tensor]:
        return {"scale": self.scale.mean()}


class Stable(nn.Module):
    """y = x + F(x) / √L, with L units in the network.

    Hayou et al. 2021, arXiv:2010.12859, uniform scaling; also the depth-µP of Yang et al. 2023, arXiv:2310.02244.
    Departure: F is normalised here.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, position: Position, option: str = "A"
    ) -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.scale = position.units**-0.5

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.match(x) + self.scale * residual


class Weighted(nn.Module):
    """y = x + λ · F(x), with a learned number λ from −1 to 1 that starts at `init`.

    Shen and Zeng 2016, arXiv:1605.08831. F ends in a ReLU and none follows the sum, which a negative λ makes room for:
    unit.order=relu_before_addition. Departure: the paper projects λ onto the interval after each step; here the number
    that is learned may leave it, what multiplies F is clamped, and the gradient passes through the clamp.
    Raises ValueError unless −1 < init < 1.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, init: float = 0.0, option: str = "A"
    ) -> None:
        super().__init__()
        if not -1 < init < 1:
            raise ValueError(f"shortcut.init={init} is invalid: it must be between -1 and 1")
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.weight = nn.Parameter(torch.tensor(float(init)))

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        scale = self.weight + (self.weight.clamp(-1, 1) - self.weight).detach()
        return self.match(x) + scale * residual

    def scalars(self) -> dict[str, Tensor]:
        return {"lambda": self.weight.clamp(-1, 1)}


class StochasticDepth(nn.Module):
    """y = x + b · F(x) in training, with b = 1 or 0 for a whole batch; x + p_l · F(x) in evaluation.

    b is 1 with probability p_l = 1 − (l/L) · (1 − p_L), falling from the first of L units to the last, which has p_L =
    `p`. Huang et al. 2016, arXiv:1603.09382, eq. 2, 4 and 5; yueatsprograms/Stochastic_Depth, ResidualDrop.lua and
    main.lua. Departures: F is computed where b = 0 too, so it saves no time, and the running statistics of its batch
    normalisation see that batch; where the shape changes the release averages over 2×2 pixels, option A takes one.
    Raises ValueError unless 0 < p ≤ 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        position: Position,
        p: float = 0.5,
        option: str = "A",
    ) -> None:
        super().__init__()
        if not 0 < p <= 1:
            raise ValueError(f"shortcut.p={p} is invalid: it must be above 0 and at most 1")
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.p = 1 - position.index / position.units * (1 - p)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        if not self.training:
            return self.match(x) + self.p * residual
        kept = torch.rand((), device=residual.device) < self.p
        return self.match(x) + kept * residual
