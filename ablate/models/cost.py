"""What a network costs: parameters, and multiply-adds for one image."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Learned numbers, including batch normalisation's."""
    return sum(parameter.numel() for parameter in network.parameters())


@torch.no_grad()
def multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and matrix products for one image (C, H, W): what [A] calls FLOPs.

    Counts the operations that torch dispatches, so those of a custom shortcut too.
    """
    training = network.training
    try:
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.zeros(1, *shape, device=next(network.parameters()).device))
    finally:
        network.train(training)
    return counter.get_total_flops() // 2
