"""Residual connections with n streams of x: hyper-connections, and those whose streams are not mixed.

Streams are copied in after the stem and added up before the end of the network. X is all streams, F a unit's residual
branch; A_m reads F's input from X, A_r mixes the streams, B adds F to each:

    X' = A_rᵀ X + B · F(A_mᵀ X)

At the start all streams are x of the network with the identity, and their sum n · x.

[HC] Zhu et al. 2024, arXiv:2409.19606.

    ablate shortcut=hyper_connections unit.order=full_preactivation
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.models.connection import Connection, Position
from ablate.models.shortcuts import Projection, match_shape

EPSILON = 1e-6
"""Added to mean squares, because all channels may be 0 at a position after a ReLU."""
SCALE = 0.01
"""Of the part of a coefficient that depends on x, at the start."""


def matched(match: nn.Module, state: Tensor) -> Tensor:
    """Every stream (N, n, C, H, W) in the shape of F. Normalisation takes them as one batch of N · n images."""
    out: Tensor = match(state.flatten(0, 1))
    return out.unflatten(0, state.shape[:2])


def inverse_root(state: Tensor, *dims: int) -> Tensor:
    """The factor that makes the mean square of `state` over `dims` 1; these dimensions are kept with a size of 1.

    norm(X) W is computed as X W times this factor, which saves a copy of all streams.
    """
    return torch.rsqrt(state.square().mean(dims, keepdim=True) + EPSILON)


def kept(gain: float, match: nn.Module, *moved: Tensor) -> float:
    """The gain of a connection, if all of `moved` are 0. Raises NotImplementedError otherwise, and with projections."""
    if isinstance(match, Projection) or any(one.any() for one in moved):
        raise NotImplementedError
    return gain


class Streams(Connection):
    """Streams (N, n, C, H, W). A subclass says A_m, A_r and B, each for every image and position:

    `reading(state)` of the state that the unit is given and `giving(state)`: (N, n, 1, H, W); `mixing(state)`:
    (N, n, n, H, W), from one stream (first n) to another. The last two are of streams in the shape of F. N, H and W may
    be 1 for coefficients that are the same everywhere.
    """

    def __init__(self, match: nn.Module, streams: int) -> None:
        super().__init__()
        self.match, self.streams = match, streams

    def open(self, x: Tensor) -> Tensor:
        return torch.stack([x] * self.streams, 1)

    def read(self, state: Tensor) -> Tensor:
        return (self.reading(state) * state).sum(1)

    def forward(self, state: Tensor, residual: Tensor) -> Tensor:
        state = matched(self.match, state)
        return self.mixed(state) + self.giving(state) * residual.unsqueeze(1)

    def mixed(self, state: Tensor) -> Tensor:
        """A_rᵀ X."""
        return torch.einsum("nijhw,nichw->njchw", self.mixing(state), state)

    def mixture(self, state: Tensor) -> Tensor:
        """A_r of a unit that is given this state, which `ablate probe` multiplies over all units."""
        return self.mixing(matched(self.match, state))

    def close(self, state: Tensor) -> Tensor:
        return state.sum(1)

    def reading(self, state: Tensor) -> Tensor:
        raise NotImplementedError

    def mixing(self, state: Tensor) -> Tensor:
        raise NotImplementedError

    def giving(self, state: Tensor) -> Tensor:
        raise NotImplementedError


class Coefficients(Streams):
    """A_m and B of hyper-connections, which HyperConnections describes."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        position: Position,
        *,
        streams: int = 4,
        dynamic: bool = True,
        option: str = "A",
    ) -> None:
        if streams < 1:
            raise ValueError(f"shortcut.streams={streams} is invalid: use 1 or more")
        super().__init__(match_shape(in_channels, out_channels, stride, option), streams)
        self.dynamic = dynamic
        self.a_m = nn.Parameter(functional.one_hot(torch.tensor((position.index - 1) % streams), streams).float())
        self.b = nn.Parameter(torch.ones(streams))
        self.no_decay: tuple[str, ...] = ("a_m", "b")
        if dynamic:
            self.w_m, self.w_b = nn.Parameter(torch.zeros(in_channels, 1)), nn.Parameter(torch.zeros(out_channels, 1))
            self.s_alpha, self.s_beta = nn.Parameter(torch.tensor(SCALE)), nn.Parameter(torch.tensor(SCALE))

    def reading(self, state: Tensor) -> Tensor:
        a_m = self.a_m[:, None, None, None]
        return a_m + self.s_alpha * _tanh(state, self.w_m) if self.dynamic else a_m[None]

    def giving(self, state: Tensor) -> Tensor:
        b = self.b[:, None, None, None]
        return b + self.s_beta * _tanh(state, self.w_b) if self.dynamic else b[None]

    def gain(self) -> float:
        """1 where no coefficient depends on x."""
        return kept(1.0, self.match, *((self.w_m, self.w_b) if self.dynamic else ()))


class UnmixedHyperConnections(Coefficients):
    """y = X + B · F(A_mᵀ X): hyper-connections whose A_r is I and stays so (arXiv:2607.28611).

    A_m and B are those of HyperConnections.
    """

    def mixing(self, state: Tensor) -> Tensor:
        return torch.eye(self.streams, dtype=state.dtype, device=state.device)[None, :, :, None, None]

    def mixed(self, state: Tensor) -> Tensor:
        return state


class HyperConnections(Coefficients):
    """y = A_rᵀ X + B · F(A_mᵀ X): hyper-connections ([HC]).

    A_m = a_m + s_α tanh(norm(X) W_m), A_r = a_r + s_α tanh(norm(X) W_r) and B = b + s_β tanh(norm(X) W_β), of each
    position alone: positions are to a convolution what tokens are to a transformer, for which the paper defines them,
    and hyper-connections on PyPI (lucidrains) does the same for convolutions. `dynamic` = false leaves out tanh. At the
    start a_m = e_(l mod n), a_r = I, b = 1, s = 0.01 and W = 0. As in the paper, weight decay acts on W and s alone.

    norm makes the mean square of the channels 1, without learned scales, which W has; the paper's is layer
    normalisation. Where the shape changes, A_r and B are those of the matched streams, as gates are of matched x. The
    paper also scales the initial weights of the last layer of F by √n; here F starts as with the identity.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        position: Position,
        *,
        streams: int = 4,
        dynamic: bool = True,
        option: str = "A",
    ) -> None:
        super().__init__(in_channels, out_channels, stride, position, streams=streams, dynamic=dynamic, option=option)
        self.a_r = nn.Parameter(torch.eye(streams))
        self.no_decay = (*self.no_decay, "a_r")
        if dynamic:
            self.w_r = nn.Parameter(torch.zeros(out_channels, streams))

    def mixing(self, state: Tensor) -> Tensor:
        a_r = self.a_r[:, :, None, None]
        return a_r + self.s_alpha * _tanh(state, self.w_r) if self.dynamic else a_r[None]

    def gain(self) -> float:
        """1 where A_r is I as well."""
        moved = self.a_r - torch.eye(self.streams).to(self.a_r)
        return kept(super().gain(), self.match, moved, *((self.w_r,) if self.dynamic else ()))

    def scalars(self) -> dict[str, Tensor]:
        """`mixing`: the mean absolute element of a_r outside its diagonal, summed over a stream."""
        return {"mixing": outside(self.a_r)}


def outside(matrix: Tensor) -> Tensor:
    """The mean over rows of the absolute sum outside the diagonal."""
    return (matrix - matrix.diagonal().diag()).abs().sum(1).mean()


def _tanh(state: Tensor, weight: Tensor) -> Tensor:
    """tanh(norm(X) W) of each stream alone, W (C, k): (N, n, k, H, W)."""
    return torch.tanh(torch.einsum("nichw,ck->nikhw", state, weight) * inverse_root(state, 2))
