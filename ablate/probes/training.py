"""The signal in a network while it trains, unit by unit, measured within a training step. It changes no result.

    ablate shortcut=gate depth=110 probes=signal

What stops a deep network from training is what the first steps do to its early units, so steps 1, 2, 4, 8, ... are
measured too. ablate.probes.signal measures more, of a network that does not train.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ablate.models.generators import generators, restore_generators
from ablate.models.network import Network
from ablate.models.shortcuts import Gate
from ablate.probes.along import signs_like
from ablate.probes.path import Link, Map, gain, identity, pulled
from ablate.probes.visits import Visit, watching

EVERY = 100
"""Steps between measurements, by default; with it they take less than a twentieth of the time."""


class SignalProbe:
    """Measures steps 1, 2, 4, 8, ..., and every `every` steps."""

    def __init__(self, network: Network, every: int) -> None:
        self.network, self.every = network, every

    def wants(self, step: int) -> bool:
        """Whether the step is measured; the first is 1."""
        return step % self.every == 0 or (step < self.every and step & (step - 1) == 0)

    @contextmanager
    def watch(self, line: dict[str, Any]) -> Iterator[Callable[[], None]]:
        """Watch the step that is taken in this context. It calls what it is given once there are gradients, before the
        weights change, which fills `line`: lists with a number for each unit.

        | key | of unit l |
        |---|---|
        | x | mean square of x_l |
        | gradient | norm of dE/dx_l |
        | weights, weights_gradient | norm of its parameters, and of their gradients |
        | path | log2 of the gain of the shortcuts from it to the last, F held constant; null where nothing is left |
        | gate | mean of 1 − g(x); null without a gate |
        """
        with ExitStack() as hooks:
            for _, unit in self.network.units():
                hooks.enter_context(unit.register_forward_pre_hook(_keep_gradient))
            found = watching(self.network, hooks)
            yield lambda: line.update(_measured(found))


def _keep_gradient(_unit: nn.Module, args: tuple[Any, ...]) -> None:
    if args[0].requires_grad:
        args[0].retain_grad()


def _measured(passed: list[Visit]) -> dict[str, list[float | None]]:
    device = passed[0].x.device
    before = generators(device)
    try:
        # Copies, because normalisation in a shortcut would count the images twice.
        shortcuts = [copy.deepcopy(visit.shortcut) for visit in passed]
        path = _path(passed, shortcuts)
        gates = [_gate(shortcut, visit.x) for shortcut, visit in zip(shortcuts, passed, strict=True)]
    finally:
        restore_generators(before, device)
    parameters = [list(visit.unit.parameters()) for visit in passed]
    gradients = [[p.grad for p in own if p.grad is not None] for own in parameters]
    columns = {
        "x": [visit.start.detach().square().mean() for visit in passed],
        "gradient": [_norm([] if visit.start.grad is None else [visit.start.grad]) for visit in passed],
        "weights": [_norm([p.detach() for p in own]) for own in parameters],
        "weights_gradient": [_norm(own) for own in gradients],
    }
    numbers = {key: torch.stack([one.to(device).float() for one in values]).tolist() for key, values in columns.items()}
    return {key: [_short(one) for one in values] for key, values in (numbers | {"path": path, "gate": gates}).items()}


def _short(value: float | None) -> float | None:
    """Six digits: a run has thousands of these numbers."""
    return None if value is None else float(f"{value:.6g}")


def _norm(tensors: list[Tensor]) -> Tensor:
    return nn.utils.get_total_norm(tensors) if tensors else torch.zeros(())


def _path(passed: list[Visit], shortcuts: list[nn.Module]) -> list[float | None]:
    """As `ablate.probes.along.Along.backward`, with the random numbers of the step."""
    signs = signs_like(passed[-1].total, torch.Generator().manual_seed(0))
    same: list[Map] = [link.pull if (link := identity(visit)) else lambda v: v for visit in passed]
    links = [_link(shortcut, visit) for shortcut, visit in zip(shortcuts, passed, strict=True)]
    of_shortcuts, of_identity = pulled(signs, [link.pull for link in links]), pulled(signs, same)
    logs = [gain(one, other).log2 for one, other in zip(of_shortcuts, of_identity, strict=True)]
    return [one if math.isfinite(one) else None for one in logs]


def _link(shortcut: nn.Module, visit: Visit) -> Link:
    restore_generators(visit.random, visit.x.device)
    return Link(lambda x: shortcut(x, visit.residual), visit.x)


@torch.no_grad()
def _gate(shortcut: nn.Module, x: Tensor) -> float | None:
    if not isinstance(shortcut, Gate):
        return None
    # 1 - sigmoid(a) as sigmoid(-a), which is exact near 0
    return torch.sigmoid(-shortcut.gate(shortcut.match(x)).float()).mean().item()
