"""What a shortcut may ask for besides x and F(x): the unit's position, and a state that goes from unit to unit.

class Depthwise(Connection):
    def __init__(self, in_channels, out_channels, stride, position: Position): ...
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Position:
    """The place of a residual unit: it is the `index`-th of `units`, and the `number`-th of its `stage`; all from 1.

    A shortcut or unit is given it if its constructor has a parameter of this name or type.
    """

    index: int
    units: int
    stage: int
    number: int


class Connection(nn.Module):
    """A shortcut whose state need not be x: several streams, earlier outputs, or more channels in every unit.

    The first unit's `open` makes the state of x after the stem. In each unit `read` gives what F is given, and the call
    `connection(state, residual)` the next state. The last unit's `close` gives x before the end of the network. A state
    is one tensor, images first; where the shape changes, it has the shape of that unit's input. With the methods of
    this class it is x.

    F has `residual_channels` channels if a connection says so, otherwise the unit's.
    """

    def open(self, x: Tensor) -> Tensor:
        """The state of x: (N, in, H, W)."""
        return x

    def read(self, state: Tensor) -> Tensor:
        """x, which F is given: (N, in, H, W)."""
        return state

    def close(self, state: Tensor) -> Tensor:
        """The x of the state after the last unit: (N, out, H/stride, W/stride)."""
        return state


def connection(unit: nn.Module) -> Connection | None:
    """The connection in a unit, if it has one."""
    return next((module for module in unit.modules() if isinstance(module, Connection)), None)


def in_float32(call: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """`call` of the tensors, in float32 even where F is computed in bfloat16.

    bfloat16 has 8 significant bits: in it, 1 − g(x) of a gate at b_g = −7 rounds to 1, and a sum over 54 units loses
    what each unit adds.
    """
    kind = tensors[0].device.type
    if torch.is_autocast_enabled(kind):
        tensors = tuple(tensor.float() for tensor in tensors)
    with torch.autocast(kind, enabled=False):
        return call(*tensors)


def read(shortcut: nn.Module, state: Tensor) -> Tensor:
    """What F is given: x, which is the state of all shortcuts that are not connections."""
    return in_float32(shortcut.read, state) if isinstance(shortcut, Connection) else state


def through(stages: nn.Module, x: Tensor, units: Sequence[nn.Module]) -> Tensor:
    """`stages(x)`, which are `units`: their state is opened before and closed after, if they have connections."""
    first, last = connection(units[0]), connection(units[-1])
    if first is None or last is None:
        out: Tensor = stages(x)
        return out
    return in_float32(last.close, stages(in_float32(first.open, x)))


@contextmanager
def states_used(units: Sequence[nn.Module]) -> Iterator[None]:
    """Raise ValueError if the forward pass in this context leaves out a step of the units' connections.

    Without `read`, F is given the state; without `open` and `close`, the state is x. Either may go unnoticed.
    """
    owners = [own for own in map(connection, units) if own]
    steps = [(own, "read") for own in owners] + [(own, "open") for own in owners[:1]]
    steps += [(own, "close") for own in owners[-1:]]
    own_steps = [(own, name) for own, name in steps if getattr(type(own), name) is not getattr(Connection, name)]
    called: set[tuple[Connection, str]] = set()
    for own, name in own_steps:
        setattr(own, name, partial(_noted, called, (own, name), getattr(own, name)))
    try:
        yield
    finally:
        for own, name in own_steps:
            delattr(own, name)
    for own, name in own_steps:
        if (own, name) not in called:
            who = "a unit" if name == "read" else "the network"
            raise ValueError(f"{who} does not call {name} of {type(own).__name__}, which has a state")


def _noted(
    called: set[tuple[Connection, str]], step: tuple[Connection, str], call: Callable[[Tensor], Tensor], x: Tensor
) -> Tensor:
    called.add(step)
    return call(x)
