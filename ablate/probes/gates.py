"""The gates of a shortcut, as its forward pass computes them: a subclass of Gate may give them another x."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ablate.models.shortcuts import Gate


def openness(logits: Tensor) -> Tensor:
    """1 − g = 1 − σ(a), as σ(−a), which is exact near 0."""
    return torch.sigmoid(-logits)


def opened(shortcut: nn.Module, forward: Callable[[], object]) -> Tensor | None:
    """1 − g of all gates in a forward pass of the shortcut, in one dimension; None if there are none."""
    logits: list[Tensor] = []
    if isinstance(shortcut, Gate):
        with shortcut.gate.register_forward_hook(lambda _gate, _args, out: logits.append(out.detach().flatten())):
            forward()
    return openness(torch.cat(logits)) if logits else None


def held(gate: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`forward(x)` with g constant in its derivative."""
    with gate.register_forward_hook(lambda _gate, _args, out: out.detach()):
        return forward(x)
