"""What theory says of the factor by which one unit's shortcut multiplies a vector, at initialisation.

Relative to the identity of option A, as ablate.probes.path measures it. A shortcut of your own may say its factor in a
method `gain()`, which returns a number, or raises NotImplementedError where theory says none. Those of
ablate.models.shortcuts are here and not there, because that source is part of a run's identity.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from ablate.base.errors import AblateError
from ablate.models import shortcuts


class Factor(NamedTuple):
    """The mean of the factor, and its root mean square. They differ if it is random, or differs over elements."""

    mean: float
    rms: float


class Product(NamedTuple):
    """Of the factors of several units: of their means, and log2 of that of their root mean squares."""

    log2: float
    mean: float


def products(chain: Sequence[nn.Module]) -> list[Product | None]:
    """From each shortcut to the last; None from where theory does not say a factor. Raises AblateError as `factor`."""
    total: Product | None = Product(0.0, 1.0)
    found: list[Product | None] = []
    for shortcut in reversed(chain):
        one = factor(shortcut)
        if total is None or one is None:
            total = None
        else:
            log2 = math.log2(one.rms) if one.rms else -math.inf
            total = Product(total.log2 + log2, total.mean * one.mean)
        found.append(total)
    return found[::-1]


def factor(shortcut: nn.Module) -> Factor | None:
    """The factor of a shortcut; None if theory does not say it.

    It does not where a 1×1 convolution gives x the shape of F (options B and C), or gates differ over channels or
    positions. Raises AblateError if a shortcut's own `gain()` is not a finite number.
    """
    own = getattr(shortcut, "gain", None)
    if callable(own):
        try:
            value = own()
        except NotImplementedError:
            return None
        try:
            if math.isfinite(number := float(value)):
                return Factor(number, abs(number))
        except (TypeError, ValueError, OverflowError):
            pass
        raise AblateError(f"{type(shortcut).__name__}.gain() gives {value!r}, not a finite number")
    # The exact class: a subclass has another equation.
    rule = FACTORS.get(type(shortcut))
    if rule is None or isinstance(getattr(shortcut, "match", None), shortcuts.Projection):
        return None
    return rule(shortcut)


def _constant(shortcut: Any) -> Factor:
    return Factor(shortcut.scale, abs(shortcut.scale))


def _gate(shortcut: Any) -> Factor | None:
    """1 − σ(b_g) = σ(−b_g), where W_g = 0 and b_g is the same in all channels."""
    weight, bias = shortcut.gate.weight.detach(), shortcut.gate.bias.detach().double()
    if weight.any() or (bias != bias[0]).any():
        return None
    return Factor(*[torch.sigmoid(-bias[0]).item()] * 2)


def _projection(shortcut: Any) -> Factor | None:
    """W has independent elements of mean 0 and variance 2 / channels of F, so E|W x|² = 2 |x|²; the same for Wᵀ."""
    return Factor(0.0, math.sqrt(2)) if len(shortcut.projection) == 1 else None


def _dropout(shortcut: Any) -> Factor:
    """An element is kept with probability 1 − p, and multiplied by s: mean (1 − p) s, mean square (1 − p) s²."""
    kept = 1 - shortcut.dropout.p
    scale = shortcut.scale / kept
    return Factor(kept * scale, math.sqrt(kept) * scale)


FACTORS: dict[type, Callable[[Any], Factor | None]] = {
    shortcuts.Identity: lambda _: Factor(1.0, 1.0),
    shortcuts.NoShortcut: lambda _: Factor(0.0, 0.0),
    shortcuts.Constant: _constant,
    shortcuts.Gate: _gate,
    shortcuts.ExclusiveGate: _gate,
    shortcuts.Conv1x1: _projection,
    shortcuts.Dropout: _dropout,
}
