"""What a network costs: parameters, and multiply-adds for one image."""

from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def parameters(network: nn.Module) -> int:
    """Learned numbers, including batch normalisation's."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image (C, H, W): what [A] calls FLOPs.

    Counts the operations that torch executes, so those of a custom shortcut too.
    """
    training = network.training
    with _FlopCounter() as counter:
        network.eval()(torch.zeros(1, *shape, device=next(network.parameters()).device))
    network.train(training)
    return counter.flops // 2  # torch counts a multiplication and an addition


class _FlopCounter(TorchDispatchMode):
    """Adds up torch's own formula of each operation, as torch.utils.flop_counter.FlopCounterMode does.

    That class would import torch._dynamo, which takes a second in every process.
    """

    supports_higher_order_operators = True
    flops = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it, torch would import it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        formula = flop_registry.get(getattr(func, "_overloadpacket", func))
        if formula is not None:
            self.flops += formula(*args, **kwargs, out_val=result)
        return result
