"""The path through the shortcuts alone: each h linearised at the x that it was given, F(x) held constant.

[B] eq. 7 and 8, with h in place of λ x: of the derivative of x_L with respect to x_l, the term that has no derivative
of F is h'_{L-1} ··· h'_l. Gains are relative to the same path with the identity of option A for h, which subsamples
and pads where the shape changes: they are 1 for the identity and λ^units for h(x) = λ x, whatever the shapes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.base.errors import AblateError
from ablate.models.shortcuts import PadChannels
from ablate.probes.visits import Passage

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Scaled:
    """The vector direction · 2^log2, whose direction has a mean square of 1: no product is too small for a float.

    Of a zero vector, log2 is −inf.
    """

    direction: Tensor
    log2: float

    @classmethod
    def of(cls, v: Tensor, log2: float = 0.0) -> "Scaled":
        root = math.sqrt(torch.linalg.vector_norm(v.cpu(), dtype=torch.float64).item() ** 2 / v.numel())
        return cls(v / root, log2 + math.log2(root)) if root else cls(v, -math.inf)

    def through(self, linear: Map) -> "Scaled":
        """The vector that a linear map makes of it."""
        return self if self.log2 == -math.inf else Scaled.of(linear(self.direction), self.log2)

    @property
    def norm(self) -> float:
        """log2 of the Euclidean norm."""
        return self.log2 + math.log2(self.direction.numel()) / 2


class Link:
    """A function y(x), linearised at one x: `pull` multiplies by its Jacobian's transpose, `push` by its Jacobian."""

    def __init__(self, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        with torch.enable_grad():
            self.x = x.detach().requires_grad_()
            self.y = function(self.x)
        self.dual: tuple[Tensor, Tensor] | None = None

    def pull(self, v: Tensor) -> Tensor:
        """Jᵀ v: a vector-Jacobian product."""
        return _gradient(self.y, self.x, v)

    def push(self, u: Tensor) -> Tensor:
        """J u, as the derivative of Jᵀ v in v. Raises RuntimeError if a function of h has no second derivative."""
        if self.dual is None:
            v = torch.randn(self.y.shape, generator=torch.Generator().manual_seed(0)).to(self.y).requires_grad_()
            with torch.enable_grad():
                self.dual = _gradient(self.y, self.x, v, create_graph=True), v
            at_v = self.dual[0].detach()
            # A function that detaches its derivative gives zeros without an error; vᵀ J (Jᵀ v) = |Jᵀ v|² finds it.
            if not torch.allclose((self.push(at_v) * v.detach()).sum(), at_v.square().sum(), rtol=1e-3):
                raise RuntimeError("a function has no second derivative")
        return _gradient(*self.dual, u)


def _gradient(y: Tensor, x: Tensor, v: Tensor, *, create_graph: bool = False) -> Tensor:
    if not y.requires_grad:
        return torch.zeros_like(x)
    (found,) = torch.autograd.grad(y, x, v, retain_graph=True, create_graph=create_graph, allow_unused=True)
    return torch.zeros_like(x) if found is None else found


def identity(passage: Passage) -> Link | None:
    """What the identity of option A does to the shape at a unit; None where it does not change.

    Raises AblateError if the shortcut's x and F(x) are not (N, C, H, W), and no stride makes one of the other.
    """
    x, residual = passage
    if x.shape == residual.shape:
        return None
    try:
        stride = -(-x.shape[2] // residual.shape[2])
        link = Link(PadChannels(x.shape[1], residual.shape[1], stride), x)
    except (IndexError, RuntimeError) as error:
        raise AblateError(_shapes(x, residual)) from error
    if link.y.shape != residual.shape:
        raise AblateError(_shapes(x, residual))
    return link


def _shapes(x: Tensor, residual: Tensor) -> str:
    return f"a unit goes from {tuple(x.shape)} to {tuple(residual.shape)}: the identity has no path of option A there"


@dataclass(frozen=True)
class Gain:
    """A vector after a path, relative to what the identity's path makes of the same vector.

    `log2`: of the ratio of their norms. `mean`: the mean factor, each element weighted by the square of the identity's.
    `reached`: the participation ratio (Σ|v|)² / Σv², relative to the identity's: the share of the elements that carry
    the vector. Where h multiplies by a mask, it is the share that is kept.

    Of a connection the vector is of its state, which has other elements than x. Then the norm and the participation
    ratio are relative to those at the path's end too, and there is no `mean`: NaN.
    """

    log2: float
    mean: float
    reached: float


Ends = tuple[Scaled, Scaled]
"""The vectors at the end of a path of states and of the identity's."""


def gain(one: Scaled, of_identity: Scaled, ends: Ends | None = None) -> Gain:
    """The gain of a path, of states if there are `ends`."""
    if one.log2 == -math.inf:
        return Gain(-math.inf, 0.0, 0.0)
    if ends:
        log2 = (one.norm - ends[0].norm) - (of_identity.norm - ends[1].norm)
        return Gain(log2, math.nan, _carrying(one) / _carrying(ends[0]) * _carrying(ends[1]) / _carrying(of_identity))
    v, w = (vector.direction.detach().cpu().double().flatten() for vector in (one, of_identity))
    spread = (v.abs().mean() / w.abs().mean()).item() ** 2  # both have a mean square of 1
    return Gain(one.norm - of_identity.norm, (v @ w).item() / len(v) * power(one.log2 - of_identity.log2), spread)


def _carrying(vector: Scaled) -> float:
    """The participation ratio: the number of elements that carry the vector."""
    v = vector.direction.detach().cpu().double()
    return v.numel() * v.abs().mean().item() ** 2


def power(log2: float) -> float:
    """2^log2, infinite above the largest float."""
    return 2.0**log2 if log2 < 1024 else math.inf


def average(gains: Sequence[Gain]) -> Gain:
    """Over draws: the root mean square of the norms, the mean of the rest."""
    top = max(one.log2 for one in gains)
    if top == -math.inf:
        return gains[0]
    squares = [4 ** (one.log2 - top) for one in gains]
    means = [sum(getattr(one, name) for one in gains) / len(gains) for name in ("mean", "reached")]
    return Gain(top + math.log2(sum(squares) / len(squares)) / 2, *means)


def pulled(v: Tensor, maps: Sequence[Map]) -> list[Scaled]:
    """v, of the last map's output, pulled back to the input of each map: Jᵀ of the maps from that one to the last."""
    found, at = [], Scaled.of(v)
    for pull in reversed(maps):
        at = at.through(pull)
        found.append(at)
    return found[::-1]


def pushed(u: Tensor, maps: Sequence[Map]) -> Scaled:
    """u, of the first map's input, pushed through all maps."""
    at = Scaled.of(u)
    for push in maps:
        at = at.through(push)
    return at
