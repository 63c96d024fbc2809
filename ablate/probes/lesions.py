"""What the units and paths of a trained network are worth: units dropped and swapped, and the gradient by path length.

[V] Veit, Wilber and Belongie 2016, "Residual Networks Behave Like Ensembles of Relatively Shallow Networks",
arXiv:1605.06431.

    ablate lesion results/runs/digits-identity-d110-s0-0123456789abcdef
"""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.base.errors import AblateError
from ablate.models.network import Network
from ablate.models.shortcuts import NoShortcut, PadChannels
from ablate.probes.visits import passages, visits

Error = Callable[[], float]
"""Measures the error of the network as it is now, in percent."""


class Place(NamedTuple):
    """A unit in its network: its number from 1, its stage, and whether it changes the shape of x."""

    unit: int
    stage: int
    changes_shape: bool


@dataclass(frozen=True)
class Swap:
    """The error after so many swaps, and Kendall's rank correlation of the units' order with the trained one."""

    swaps: int
    tau: float
    error: float


class Patient:
    """A trained network in evaluation mode, whose units are dropped or swapped and then as before.

    `images`: a few that it takes, (N, C, H, W). `unswappable` says why no unit can be in the place of another, if so.
    Raises AblateError if a unit calls no shortcut.
    """

    def __init__(self, network: Network, images: Tensor) -> None:
        self.network = network.eval()
        with torch.no_grad():
            _, found = visits(network, images)
        self.units = [one.unit for one in found]
        self.shortcuts = [one.shortcut for one in found]
        self.shapes = [(tuple(one.start.shape[1:]), tuple(one.output.shape[1:])) for one in found]
        self.unswappable = ""
        if any(len(start) == 4 and start[0] != end[0] for start, end in self.shapes):
            kind = type(self.shortcuts[0]).__name__
            self.unswappable = f"units of {kind} cannot be swapped: the state of each has another number of tensors"
        self.places = [
            Place(number, one.stage, before.shape != after.shape)
            for number, (one, (before, after)) in enumerate(zip(found, passages(found, self.shortcuts), strict=True), 1)
        ]

    @contextmanager
    def without(self, dropped: Iterable[int]) -> Iterator[None]:
        """Drop units, by their index: F(x) = 0, so that y = h(x).

        A unit of a plain network, where h(x) = 0, is left out whole as in [V] §4.1: y = x in the shape of option A.
        """
        with ExitStack() as hooks:
            for index in dropped:
                shortcut = self.shortcuts[index]
                if isinstance(shortcut, NoShortcut):
                    hooks.enter_context(shortcut.register_forward_hook(_leave_out))
                else:
                    hooks.enter_context(shortcut.register_forward_pre_hook(_no_residual))
            yield

    @contextmanager
    def ordered(self, order: Sequence[int]) -> Iterator[None]:
        """Put unit `order[i]` in the place of unit i."""
        parts = self.network.modules()
        homes = {id(child): (parent, name) for parent in parts for name, child in parent.named_children()}
        places = [homes[id(unit)] for unit in self.units]
        for (parent, name), index in zip(places, order, strict=True):
            setattr(parent, name, self.units[index])
        try:
            yield
        finally:
            for (parent, name), unit in zip(places, self.units, strict=True):
                setattr(parent, name, unit)

    def alone(self, error: Error) -> Iterator[float]:
        """The error without each unit, one after another ([V] Fig. 3)."""
        for index in range(len(self.units)):
            with self.without([index]):
                yield error()

    def several(self, error: Error, count: int, samples: int, draw: random.Random) -> Iterator[float]:
        """The error without `count` units drawn at random, `samples` times ([V] Fig. 5a)."""
        for _ in range(samples):
            with self.without(draw.sample(range(len(self.units)), count)):
                yield error()

    def swapped(self, error: Error, swaps: int, samples: int, draw: random.Random) -> Iterator[Swap]:
        """The error after so many random swaps of two units of one shape, `samples` times ([V] Fig. 5b).

        Raises AblateError if they are `unswappable`.
        """
        if self.unswappable:
            raise AblateError(self.unswappable)
        alike: dict[Any, list[int]] = {}
        for index, shape in enumerate(self.shapes):
            if shape[0] == shape[1]:
                alike.setdefault((self.places[index].stage, shape), []).append(index)
        pairs = [(a, b) for group in alike.values() for a in group for b in group if a < b]
        for _ in range(samples if pairs else 0):
            order = list(range(len(self.units)))
            for a, b in (draw.choice(pairs) for _ in range(swaps)):
                order[a], order[b] = order[b], order[a]
            with self.ordered(order):
                yield Swap(swaps, kendall(order), error())

    def path_norm(self, batch: tuple[Tensor, Tensor], length: int, draw: random.Random) -> float:
        """The norm of the gradient along one random path through the residual functions of `length` units ([V] §5)."""
        through = draw.sample(range(len(self.units)), length)
        return torch.linalg.vector_norm(self.path_gradient(batch, through), dtype=torch.float64).item()

    def path_gradient(self, batch: tuple[Tensor, Tensor], through: Iterable[int]) -> Tensor:
        """The gradient of the loss with respect to the first unit's input, along one path: through F in the units of
        `through`, with h held constant, and through h in all others, with F held constant.

        `batch` are normalised images (N, C, H, W) and labels (N,). The gradients of all paths add up to the whole one.
        """
        images, labels = batch
        start: list[Tensor] = []

        def begin(_unit: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
            start.append(args[0].detach().requires_grad_())
            return (start[0], *args[1:])

        residual = {*through}
        with ExitStack() as hooks:
            hooks.enter_context(self.units[0].register_forward_pre_hook(begin))
            for index, shortcut in enumerate(self.shortcuts):
                cut = _residual_alone if index in residual else _shortcut_alone
                hooks.enter_context(shortcut.register_forward_pre_hook(cut))
            logits = self.network(images)
        (gradient,) = torch.autograd.grad(functional.cross_entropy(logits, labels), start, allow_unused=True)
        return torch.zeros_like(start[0]) if gradient is None else gradient


def _no_residual(_shortcut: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return args[0], torch.zeros_like(args[1])


def _leave_out(_shortcut: nn.Module, args: tuple[Tensor, Tensor], _y: Tensor) -> Tensor:
    x, residual = args
    if x.shape == residual.shape:
        return x
    stride = -(-x.shape[2] // residual.shape[2])
    out: Tensor = PadChannels(x.shape[1], residual.shape[1], stride)(x)
    return out


def _residual_alone(_shortcut: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return args[0].detach(), args[1]


def _shortcut_alone(_shortcut: nn.Module, args: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return args[0], args[1].detach()


def kendall(order: Sequence[int]) -> float:
    """Kendall's rank correlation of a permutation with 0, 1, 2, ...; 1 for one element."""
    pairs = [(a, b) for at, a in enumerate(order) for b in order[at + 1 :]]
    return 1 - 2 * sum(a > b for a, b in pairs) / len(pairs) if pairs else 1.0
