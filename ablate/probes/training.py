"""The signal in a network while it trains, unit by unit, measured within a training step. It changes no result.

    ablate shortcut=gate depth=110 probes=signal

What stops a deep network from training is what the first steps do to its early units, so steps 1, 2, 4, 8, ... are
measured too. ablate.probes.signal measures more, of a network that does not train.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ablate.models.generators import generators, restore_generators
from ablate.models.network import Network
from ablate.probes.along import at_end, signs_like
from ablate.probes.gates import opened
from ablate.probes.path import Link, Map, gain, identity, pulled
from ablate.probes.theory import products
from ablate.probes.visits import Visit, apart, passages, stateful, watching

MISSING = torch.tensor(math.nan)


class SignalProbe:
    """Measures steps 1, 2, 4, 8, ..., and every `every` steps; of 100, that takes less than a twentieth of the time."""

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
        | x | mean square of x_l, of a connection of its whole state; null for a unit that was left out in this step |
        | gradient | norm of dE/dx_l, of a connection of the loss in its whole state; null as for x |
        | weights, weights_gradient | norm of its parameters, and of their gradients |
        | path | log2 of the gain of the shortcuts from it to the last, F held constant; null where nothing is left, \
        and up to a unit that called no shortcut in this step |
        | gate | mean of 1 − g(x); null without a gate |
        | theory | of step 1, log2 of the gain that theory says for `path`; null where it says none, or 0 |
        """
        units = [unit for _, unit in self.network.units()]
        inputs: dict[nn.Module, dict[str, Tensor]] = {unit: {} for unit in units}
        with ExitStack() as hooks:
            for unit, kept in inputs.items():
                hooks.enter_context(unit.register_forward_pre_hook(partial(_keep, kept)))
            found = watching(self.network, hooks)
            yield lambda: line.update(_measured(inputs, {one.unit: one for one in found}, first=line["step"] == 1))


def _keep(kept: dict[str, Tensor], _unit: nn.Module, args: tuple[Any, ...]) -> None:
    """Keep the mean square of a unit's x and, after the backward pass, the norm of its gradient.

    Both now, and by a hook: the unit may change x in place.
    """
    x: Tensor = args[0]
    kept["x"] = x.detach().square().mean()
    if x.requires_grad:
        x.register_hook(lambda gradient: kept.update(gradient=_norm([gradient])))


def _measured(
    inputs: dict[nn.Module, dict[str, Tensor]], visits: dict[nn.Module, Visit], *, first: bool
) -> dict[str, list[float | None]]:
    passed = [(one, _copy(one.shortcut)) if (one := visits.get(unit)) else None for unit in inputs]
    device = next(parameter.device for unit in inputs for parameter in unit.parameters())
    before = generators(device)
    try:
        gates = [_gate(*one) if one else None for one in passed]
        path = _path(passed)
    finally:
        restore_generators(before, device)
    parameters = [list(unit.parameters()) for unit in inputs]
    columns = {
        "x": [kept.get("x", MISSING) for kept in inputs.values()],
        "gradient": [kept.get("gradient", torch.zeros(()) if "x" in kept else MISSING) for kept in inputs.values()],
        "weights": [_norm([p.detach() for p in own]) for own in parameters],
        "weights_gradient": [_norm([p.grad for p in own if p.grad is not None]) for own in parameters],
    }
    numbers = {key: torch.stack([one.to(device).float() for one in values]).tolist() for key, values in columns.items()}
    numbers |= {"path": path, "gate": gates}
    if first:
        said = products([one[1] if one else nn.Identity() for one in passed])
        numbers["theory"] = [one.log2 if one else None for one in said]
    return {key: [_short(one) for one in values] for key, values in numbers.items()}


def _copy(shortcut: nn.Module) -> nn.Module:
    """A copy to be called again: its normalisation would count the images twice.

    Tensors with a graph, which a shortcut may have kept of its pass as for `scalars()`, are shared: torch copies none.
    """
    values = (value for module in shortcut.modules() for value in vars(module).values())
    shared = {id(one): one for one in values if isinstance(one, Tensor) and not one.is_leaf}
    return copy.deepcopy(shortcut, dict(shared))


def _short(value: float | None) -> float | None:
    """Six digits, because a run has thousands of these numbers; None if it is not finite."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.6g}")


def _norm(tensors: list[Tensor]) -> Tensor:
    return nn.utils.get_total_norm(tensors) if tensors else torch.zeros(())


def _path(passed: list[tuple[Visit, nn.Module] | None]) -> list[float | None]:
    """As `ablate.probes.along.Along.backward`, with the random numbers of the step; −inf where nothing is left.

    None up to the last unit that called no shortcut, such as one that is dropped at random, or that has layers between
    it and the next: its path is not known.
    """
    first = max((at for at, one in enumerate(passed, 1) if one is None), default=0)
    first += apart([one[0] for one in passed[first:] if one])
    known = [one for one in passed[first:] if one]
    if not known:
        return [None] * len(passed)
    visits, shortcuts = [visit for visit, _ in known], [shortcut for _, shortcut in known]
    through, states = passages(visits, shortcuts), stateful(visits)
    signs = signs_like(through[-1].after if states else visits[-1].total, torch.Generator().manual_seed(0))
    start, ends = at_end(visits, shortcuts, signs) if states else (signs, None)
    same: list[Map] = [link.pull if (link := identity(one)) else lambda v: v for one in through]
    links = [Link(partial(_again, visit, shortcut), visit.x) for visit, shortcut in known]
    of_shortcuts, of_identity = pulled(start, [link.pull for link in links]), pulled(signs, same)
    logs = [gain(one, other, ends).log2 for one, other in zip(of_shortcuts, of_identity, strict=True)]
    return [*[None] * first, *logs]


def _again(visit: Visit, shortcut: nn.Module, x: Tensor) -> Tensor:
    """The sum of a copy of a visit's shortcut, with the random numbers of the step."""
    restore_generators(visit.random, x.device)
    y: Tensor = shortcut(x.clone(), visit.residual.clone())  # it may change them in place
    return y


@torch.no_grad()
def _gate(visit: Visit, shortcut: nn.Module) -> float | None:
    found = opened(shortcut, lambda: _again(visit, shortcut, visit.x))
    return None if found is None else found.float().mean().item()
