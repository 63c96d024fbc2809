"""Manifold-constrained hyper-connections: streams that are mixed by doubly stochastic matrices.

[mHC] Xie et al. 2025, arXiv:2512.24880. [HC] Zhu et al. 2024, arXiv:2409.19606.

    ablate shortcut=mhc unit.order=full_preactivation
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.contrib.streams import SCALE, Streams, inverse_root, kept, outside
from ablate.models.shortcuts import match_shape

APART = -8.0
"""The logits of A_r outside its diagonal at the start, where those on it are 0: A_r is I but for 3e-4."""
SINKHORN = 20
"""Steps of Sinkhorn's iteration."""


class ManifoldHyperConnections(Streams):
    """y = A_rᵀ X + B · F(A_mᵀ X) with A_r doubly stochastic, A_m and B positive: mHC ([mHC]).

    A_m = σ(m), B = 2 σ(b) and A_r = Sinkhorn(r), where m, b and r are each a constant plus α · norm(X) W. norm makes
    the mean square of all channels of all streams 1, and W reads all of them; of each position alone, as in
    HyperConnections. At the start α = 0.01 and W = 0. The paper does not say how the constants start: here A_m = 1/n
    and B = 1, the fixed values of its Table 1, and A_r is I but for 3e-4 outside its diagonal, as in FFTYYY/mhc-lite.
    Nor does it say whether weight decay acts on them: as in [HC], it does not.

    Sinkhorn's 20 steps make the weights of each new stream sum to 1; those from each old stream do so nearly, less the
    closer A_r is to a permutation (arXiv:2601.05732). Their activations are 40 maps of n² channels in each unit:
    activation_checkpointing=true saves that memory.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        streams: int = 4,
        option: str = "A",
    ) -> None:
        if streams < 2:  # σ(m) = 1 has no m
            raise ValueError(f"shortcut.streams={streams} is invalid: use 2 or more")
        super().__init__(match_shape(in_channels, out_channels, stride, option), streams)
        self.m, self.b = (
            nn.Parameter(torch.full((streams,), -math.log(streams - 1))),
            nn.Parameter(torch.zeros(streams)),
        )
        self.r = nn.Parameter(APART * (1 - torch.eye(streams)))
        self.w_m = nn.Parameter(torch.zeros(streams, in_channels, streams))
        self.w_b = nn.Parameter(torch.zeros(streams, out_channels, streams))
        self.w_r = nn.Parameter(torch.zeros(streams, out_channels, streams**2))
        self.alpha_m, self.alpha_b, self.alpha_r = (nn.Parameter(torch.tensor(SCALE)) for _ in range(3))
        self.no_decay = ("m", "b", "r")

    def reading(self, state: Tensor) -> Tensor:
        return torch.sigmoid(self.m[:, None, None] + self.alpha_m * _all(state, self.w_m)).unsqueeze(2)

    def mixing(self, state: Tensor) -> Tensor:
        dynamic = _all(state, self.w_r).unflatten(1, (self.streams, self.streams))
        return sinkhorn(self.r[:, :, None, None] + self.alpha_r * dynamic)

    def giving(self, state: Tensor) -> Tensor:
        return 2 * torch.sigmoid(self.b[:, None, None] + self.alpha_b * _all(state, self.w_b)).unsqueeze(2)

    def gain(self) -> float:
        """1 where no coefficient depends on x, whatever A_r is: the sum of the streams weighs every stream alike."""
        return kept(1.0, self.match, self.w_m, self.w_b, self.w_r)

    def scalars(self) -> dict[str, Tensor]:
        """`mixing`: what A_r of the constants has outside its diagonal, summed over a stream."""
        return {"mixing": outside(sinkhorn(self.r[None, :, :, None, None])[0, :, :, 0, 0])}


def sinkhorn(logits: Tensor) -> Tensor:
    """A matrix for each image and position, (N, n, n, H, W), made of its logarithm and nearly doubly stochastic.

    Rows are divided by their sums and then columns, the last of which are 1. Computed with logarithms, which do not
    underflow.
    """
    for _ in range(SINKHORN):
        logits = functional.log_softmax(functional.log_softmax(logits, 2), 1)
    return logits.exp()


def _all(state: Tensor, weight: Tensor) -> Tensor:
    """norm(X) W of all streams, W (n, C, k): (N, k, H, W)."""
    return torch.einsum("nichw,ick->nkhw", state, weight) * inverse_root(state, 1, 2).squeeze(1)
