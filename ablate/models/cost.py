"""What a net costs: parameters, and the multiply-adds of one picture."""

import torch
from torch import nn


def parameters(net: nn.Module) -> int:
    """Learned numbers, batch normalisation's included."""
    return sum(parameter.numel() for parameter in net.parameters())


def multiply_adds(net: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and linear layers for one picture of `shape` (C, H, W): what [A] calls FLOPs."""
    return sum(
        numbers * layer.weight[0].numel()  # each number is a sum over one filter
        for layer, numbers in outputs(net, shape)
    )


@torch.no_grad()
def outputs(net: nn.Module, shape: tuple[int, int, int]) -> list[tuple[nn.Conv2d | nn.Linear, int]]:
    """The convolutions and linear layers in the order of their calls, and the numbers that each gives for a picture."""
    found: list[tuple[nn.Conv2d | nn.Linear, int]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, _inputs, output: found.append((layer, output[0].numel())))
        for layer in net.modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear))
    ]
    training = net.training
    try:
        net.eval()(torch.zeros(1, *shape, device=next(net.parameters()).device))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return found
