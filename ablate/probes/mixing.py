"""What connections with several streams make of them over all units, F left out: the product of their matrices.

The mHC paper (Xie et al. 2025, arXiv:2512.24880) measures so that hyper-connections multiply the signal by thousands.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ablate.probes.visits import Visit


class Mixing(NamedTuple):
    """Of the product of all matrices A_rᵀ, from the first streams to the last: its largest absolute row sum, by which a
    signal may grow `forward`, and its largest absolute column sum, `backward`. Means over images and positions.
    """

    forward: float
    backward: float


@torch.no_grad()
def composite(passed: Sequence[Visit]) -> Mixing | None:
    """Of connections that have a method `mixture(state)`, which returns A_r (N, n, n, H, W) from one stream to another;
    N, H and W may be 1. None of others. A position is that of the last unit, and in earlier units the one from which
    option A's subsampling takes it.
    """
    mixtures = [getattr(visit.shortcut, "mixture", None) for visit in passed]
    if not all(mixtures):
        return None
    matrices = [mixture(visit.x).double() for mixture, visit in zip(mixtures, passed, strict=True) if mixture]
    size = matrices[-1].shape[3:]
    product = _at(matrices[0], size)
    for matrix in matrices[1:]:
        product = torch.einsum("nijhw,njkhw->nikhw", product, _at(matrix, size))
    forward, backward = (product.abs().sum(dim).amax(1).mean().item() for dim in (1, 2))
    return Mixing(forward, backward)


def _at(matrix: Tensor, size: Sequence[int]) -> Tensor:
    """A matrix of each position of a smaller size."""
    strides = [-(-length // wanted) for length, wanted in zip(matrix.shape[3:], size, strict=True)]
    return matrix[..., :: strides[0], :: strides[1]]
