"""A forward pass that notes what each residual unit was given and made of it: what ablate.probes.signal measures."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ablate.base.errors import AblateError
from ablate.models.connection import Connection
from ablate.models.generators import generators, restore_generators
from ablate.models.network import Network


@dataclass(frozen=True)
class Visit:
    """What a forward pass noted of one unit.

    `x` and `residual` are what the shortcut was given, without their graph; `random` are the generators at that time.
    In the graph of the pass: `start`, x_l; `given`, the shortcut's x, which is x_l unless a pre-activated unit changes
    the shape; `total`, y_l; `output`, x_{l+1}. Of a connection they are its states. `changed`: whether the unit changed
    x_l in place. `dead`: the share of the channels of the unit's `nn.ReLU` modules that are 0 at every position of
    every image; None if it has none.
    """

    stage: int
    unit: nn.Module
    shortcut: nn.Module
    start: Tensor
    given: Tensor
    total: Tensor
    output: Tensor
    x: Tensor
    residual: Tensor
    changed: bool
    random: dict[str, Any]
    dead: float | None

    def again(self, x: Tensor | None = None, residual: Tensor | None = None, *, same: bool = True) -> Tensor:
        """The shortcut's sum for the same or another x and F(x), and if `same` with the random numbers of the pass."""
        x, residual = self.x if x is None else x, self.residual if residual is None else residual
        if same:
            restore_generators(self.random, x.device)
        y: Tensor = self.shortcut(x.clone(), residual.clone())  # it may change them in place
        return y


class Passage(NamedTuple):
    """Tensors in the shapes of x before and after a unit: what the shortcut was given, and F(x).

    Of a connection, what it reads of its state, and what the next one reads of the next state or the last makes of it.
    """

    before: Tensor
    after: Tensor


def stateful(passed: Sequence[Visit]) -> bool:
    """Whether the units have connections."""
    return isinstance(passed[-1].shortcut, Connection)


def seen(shortcuts: Sequence[nn.Module], at: int, state: Tensor) -> Tensor:
    """What the next connection reads of the state after a unit, or the last makes of it; of a shortcut y itself."""
    reader = shortcuts[min(at + 1, len(shortcuts) - 1)]
    if not isinstance(reader, Connection):
        return state
    return reader.read(state) if at + 1 < len(shortcuts) else reader.close(state)


@torch.no_grad()
def passages(passed: Sequence[Visit], shortcuts: Sequence[nn.Module]) -> list[Passage]:
    """Of every unit; `shortcuts` are those of the visits, or copies."""
    if not stateful(passed):
        return [Passage(visit.x, visit.residual) for visit in passed]
    xs = [seen(shortcuts, at - 1, visit.x) for at, visit in enumerate(passed)]
    return [Passage(*one) for one in pairwise([*xs, seen(shortcuts, len(passed) - 1, passed[-1].total.detach())])]


def visits(network: Network, images: Tensor) -> tuple[Tensor, list[Visit]]:
    """The logits, and a Visit of every unit in the order of the pass. `images` should require a gradient.

    Raises AblateError if a unit calls no shortcut, or if layers stand between two units.
    """
    with ExitStack() as hooks:
        found = watching(network, hooks)
        logits: Tensor = network(images)
    missing = {type(unit).__name__ for _, unit in network.units()} if not found else set()
    missing |= {type(unit).__name__ for _, unit in network.units() if unit not in [one.unit for one in found]}
    if missing:
        raise AblateError(f"{missing.pop()} calls no shortcut as shortcut(x, residual): there is no path to measure")
    if at := apart(found):
        raise AblateError(f"layers stand between units {at} and {at + 1}: no path of shortcuts alone leads to the last")
    return logits, found


def apart(passed: Sequence[Visit]) -> int:
    """The number of the last unit whose output is not what the next is given: something between them reshapes it."""
    pairs = enumerate(pairwise(passed), 1)
    return max((number for number, (one, other) in pairs if one.output.shape != other.start.shape), default=0)


def watching(network: Network, hooks: ExitStack) -> list[Visit]:
    """A list that gets a Visit of every unit in each pass, until `hooks` are left."""
    found: list[Visit] = []
    for stage, unit in network.units():
        _watch(stage, unit, found, hooks)
    return found


def _watch(stage: int, unit: nn.Module, found: list[Visit], hooks: ExitStack) -> None:
    """Add the unit's Visit to `found` in each pass."""
    now: dict[str, Any] = {}
    relus: list[Tensor] = []
    version: list[int] = []

    def enter(_unit: nn.Module, args: tuple[Any, ...]) -> None:
        now.clear()
        relus.clear()
        now["start"], version[:] = args[0], [args[0]._version]

    def give(shortcut: nn.Module, args: tuple[Any, ...]) -> None:
        if "shortcut" in now or len(args) != 2 or not all(isinstance(one, Tensor) for one in args):
            return
        given, residual = args
        # Copies, because a unit or a shortcut may change them in place.
        now.update(shortcut=shortcut, given=given, x=given.detach().clone(), residual=residual.detach().clone())
        now["random"] = generators(given.device)

    def take(shortcut: nn.Module, _args: object, total: Tensor) -> None:
        if shortcut is now.get("shortcut"):
            now.setdefault("total", total)

    def relu(_relu: nn.Module, _args: object, out: Tensor) -> None:
        relus.append(out.detach().transpose(0, 1).flatten(1).amax(1) <= 0)

    def leave(_unit: nn.Module, _args: object, output: Tensor) -> None:
        if "total" in now:
            dead = torch.cat(relus).double().mean().item() if relus else None
            changed = now["start"]._version != version[0]
            found.append(Visit(stage=stage, unit=unit, output=output, dead=dead, changed=changed, **now))

    own = getattr(unit, "shortcut", None)  # of another name it is the first part that is called with two tensors
    candidates = [own] if isinstance(own, nn.Module) else list(unit.modules())[1:]
    hooks.enter_context(unit.register_forward_pre_hook(enter))
    for module in candidates:
        hooks.enter_context(module.register_forward_pre_hook(give))
        hooks.enter_context(module.register_forward_hook(take))
    for module in (one for one in unit.modules() if isinstance(one, nn.ReLU)):
        hooks.enter_context(module.register_forward_hook(relu))
    hooks.enter_context(unit.register_forward_hook(leave))
