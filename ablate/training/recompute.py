"""Activation checkpointing: the backward pass recomputes a unit's activations, which the forward pass did not keep.

Memory then holds the input of every unit and the activations of one (Chen et al. 2016, arXiv:1604.06174).

    ablate depth=1202 data=cifar10 activation_checkpointing=true
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ablate.base.errors import AblateError
from ablate.models.generators import generators, restore_generators
from ablate.models.network import Network

Buffers = dict[nn.Module, dict[str, Tensor | None]]


def recompute_units(network: Network) -> None:
    """Make every residual unit recompute its activations in the backward pass. No bit of training changes."""
    for _, unit in network.units():
        unit.forward = partial(_forward, unit, unit.forward)


def _forward(unit: nn.Module, forward: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`forward(x)`. Raises AblateError if it changes a parameter: the recomputation would change it again."""
    if not torch.is_grad_enabled():
        return forward(x)

    def contexts() -> tuple[Any, Any]:  # of the forward pass and of the recomputation
        return nullcontext(), _as_now(unit, x.device)

    versions = [parameter._version for parameter in unit.parameters()]
    # torch would restore its own generators, but custom code may draw from Python's and NumPy's too.
    y: Tensor = checkpoint(forward, x, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)
    if versions != [parameter._version for parameter in unit.parameters()]:
        raise AblateError(
            f"{type(unit).__name__} changes a parameter in its forward pass, which activation_checkpointing=true would "
            "do twice: add activation_checkpointing=false, or make it a buffer"
        )
    return y


def _as_now(unit: nn.Module, device: torch.device) -> Any:
    """A context with the unit's buffers and the random generators as they are at this call.

    It leaves both as they were before it. Batch normalisation updates its running statistics in the context's copies.
    """
    copies = {buffer: buffer.detach().clone() for buffer in unit.buffers()}
    buffers = {
        module: {name: None if buffer is None else copies[buffer] for name, buffer in module._buffers.items()}
        for module in unit.modules()
    }
    return _restored(buffers, generators(device), device)


@contextmanager
def _restored(buffers: Buffers, random: dict[str, Any], device: torch.device) -> Iterator[None]:
    own: Buffers = {module: module._buffers for module in buffers}
    now = generators(device)
    _set_buffers(buffers)
    restore_generators(random, device)
    try:
        yield
    finally:  # torch ends a recomputation by an exception, at the last tensor that it needs
        restore_generators(now, device)
        _set_buffers(own)


def _set_buffers(buffers: Buffers) -> None:
    # The modules' dictionaries change places: a buffer may be changed in place or be assigned.
    for module, values in buffers.items():
        module._buffers = values
