"""The singular values of a unit's Jacobian dy_l/dx_l at a small size."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.models.connection import Connection
from ablate.probes.visits import Visit

ELEMENTS = 1024
"""Of x_l, at most: the Jacobian has as many columns, and takes a second."""


class Spectrum(NamedTuple):
    """The largest, median and smallest singular value of the Jacobian of one unit, whose x_l has this `shape`."""

    unit: int
    shape: tuple[int, ...]
    largest: float
    median: float
    smallest: float


def spectra(passed: list[Visit]) -> list[Spectrum]:
    """Of the first, the middle and the last unit, for the first image of the pass."""
    chosen = sorted({0, len(passed) // 2, len(passed) - 1})
    return [one for one in (spectrum(passed[at], at + 1) for at in chosen) if one]


def spectrum(visit: Visit, number: int) -> Spectrum | None:
    """Of one unit, with F and h but without f; None if it cannot be computed, for a custom unit or a connection whose
    state is several tensors, or is not finite.

    x_l is cut to a square at its middle, of ELEMENTS elements at most. The mean and variance of batch normalisation are
    those of the pass (`keep_statistics`), and constant: one image of many hardly changes them.
    """
    if isinstance(visit.shortcut, Connection) and visit.start.dim() != 4:
        return None
    x = _cut(visit.start[:1].detach()).requires_grad_()
    sums: list[Tensor] = []
    hook = visit.shortcut.register_forward_hook(lambda _module, _args, y: sums.append(y))
    normalisations = _normalisations(visit.unit)
    for module in normalisations:
        module.eval()
    try:
        with torch.enable_grad():
            visit.unit(x.clone())
        y = sums[0]
        signs = torch.eye(y.numel(), device=y.device, dtype=y.dtype).reshape(-1, *y.shape)
        (rows,) = torch.autograd.grad(y, x, signs, is_grads_batched=True)
    except Exception:  # custom code may refuse one image, or a small one, by any error
        return None
    finally:
        hook.remove()
        for module in normalisations:
            module.train()
    if not rows.isfinite().all():
        return None
    values = torch.linalg.svdvals(rows.reshape(y.numel(), x.numel()).cpu().double())
    return Spectrum(number, tuple(x.shape[1:]), *[values[at].item() for at in (0, len(values) // 2, -1)])


def keep_statistics(network: nn.Module) -> None:
    """Make batch normalisation keep the mean and variance of the next batch as its running statistics."""
    for module in _normalisations(network):
        module.momentum = 1.0


def _normalisations(module: nn.Module) -> list[_BatchNorm]:
    return [one for one in module.modules() if isinstance(one, _BatchNorm)]


def _cut(x: Tensor) -> Tensor:
    """The middle of (1, C, H, W)."""
    if x.dim() != 4 or x.numel() <= ELEMENTS:
        return x
    side = max(2, 2 * int(math.sqrt(ELEMENTS / x.shape[1]) / 2))  # even, for a stride of 2
    for dim in (2, 3):
        length = min(side, x.shape[dim])
        x = x.narrow(dim, (x.shape[dim] - length) // 2, length)
    return x
