"""Residual connections whose state is every earlier output: attention residuals and DenseFormer.

A unit is given a weighted sum of what was made before it, and the end of the network another. Where the shape changes,
every earlier output goes through `match_shape`. Memory grows with the square of the units.

    ablate shortcut=attention_residuals unit.order=full_preactivation
"""

import math

import torch
from torch import Tensor, nn

from ablate.contrib.streams import inverse_root, kept, matched
from ablate.models.connection import Connection, Position
from ablate.models.shortcuts import match_shape


class Outputs(Connection):
    """Outputs (N, l, C, H, W) of the stem and the units before, the earliest first.

    `here` are the parameters of the sum that the unit reads, None in the first unit, which is given the stem's output;
    `last` those of the sum at the end of the network, None but in the last unit. A subclass says what
    `weigh(state, parameters)` makes of several outputs: their sum (N, C, H, W).
    """

    here: Tensor | None
    last: Tensor | None

    def __init__(self, match: nn.Module) -> None:
        super().__init__()
        self.match = match

    def open(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1)

    def read(self, state: Tensor) -> Tensor:
        return self.before(state)

    def before(self, state: Tensor) -> Tensor:
        """The sum that the unit reads."""
        return state[:, 0] if self.here is None else self.weigh(state, self.here)

    def close(self, state: Tensor) -> Tensor:
        if self.last is None:
            raise ValueError(f"{type(self).__name__} is not of the last unit, and has no weights for the end")
        return self.weigh(state, self.last)

    def weigh(self, state: Tensor, parameters: Tensor) -> Tensor:
        raise NotImplementedError


class AttentionResiduals(Outputs):
    """y = Σ_i softmax_i(q · RMSNorm(s_i)) s_i, of s_0 = x after the stem and s_i = F of unit i: attention residuals.

    Kimi Team 2026, arXiv:2603.15031, the full form without blocks. There is no other sum: F of unit l is given y_(l−1),
    the mean of what was made before at the start, where q = 0. Each unit has a q, and the end of the network. Like
    tokens of a transformer, each position has its own weights.

    RMSNorm has no learned scale, which q has. wdlctc/open-attention-residuals attends over sums of outputs instead.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, position: Position, *, option: str = "A"
    ) -> None:
        super().__init__(match_shape(in_channels, out_channels, stride, option))
        self.index = position.index
        self.here = nn.Parameter(torch.zeros(in_channels)) if position.index > 1 else None
        self.last = nn.Parameter(torch.zeros(out_channels)) if position.index == position.units else None

    def forward(self, state: Tensor, residual: Tensor) -> Tensor:
        return torch.cat([matched(self.match, state), residual.unsqueeze(1)], 1)

    def weigh(self, state: Tensor, parameters: Tensor) -> Tensor:
        root = inverse_root(state, 2).squeeze(2)
        weights = torch.softmax(torch.einsum("nlchw,c->nlhw", state, parameters) * root, 1)
        return torch.einsum("nlhw,nlchw->nchw", weights, state)

    def gain(self) -> float:
        """√(l / (l + 1)) of unit l where q = 0: a vector at the end goes to l + 1 outputs alike, and to l before F."""
        return kept(math.sqrt(self.index / (self.index + 1)), self.match, *_parameters(self))


class DenseFormer(Outputs):
    """y = Σ_(i≤l) w_li x_i, where x_0 is x after the stem and x_l = y_(l−1) + F(y_(l−1)): DenseFormer.

    Pagliardini et al. 2024, arXiv:2402.02622, without dilation and with a sum after every unit. y_0 = x_0. At the start
    w_ll = 1 and the others are 0, which is the identity. Weight decay acts on w, as in the authors' code
    (epfml/DenseFormer). w_l is a parameter of unit l + 1, which reads y_l.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, position: Position, *, option: str = "A"
    ) -> None:
        super().__init__(match_shape(in_channels, out_channels, stride, option))
        self.here = _newest(position.index) if position.index > 1 else None
        self.last = _newest(position.index + 1) if position.index == position.units else None

    def forward(self, state: Tensor, residual: Tensor) -> Tensor:
        state = matched(self.match, state)
        return torch.cat([state, (self.before(state) + residual).unsqueeze(1)], 1)

    def weigh(self, state: Tensor, parameters: Tensor) -> Tensor:
        return torch.einsum("nlchw,l->nchw", state, parameters)

    def gain(self) -> float:
        """1 at the start."""
        return kept(1.0, self.match, *(weights - _newest(len(weights)).to(weights) for weights in _parameters(self)))


def _parameters(connection: Outputs) -> list[Tensor]:
    return [one for one in (connection.here, connection.last) if one is not None]


def _newest(outputs: int) -> nn.Parameter:
    """Weights that are 1 for the last of the outputs and 0 for the others."""
    weights = torch.zeros(outputs)
    weights[-1] = 1
    return nn.Parameter(weights)
