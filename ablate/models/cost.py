"""What a net costs: parameters, and the multiply-adds of one picture."""

import torch
from torch import nn


def parameters(net: nn.Module) -> int:
    """Learned numbers, batch normalisation's included."""
    return sum(parameter.numel() for parameter in net.parameters())


@torch.no_grad()
def multiply_adds(net: nn.Module, shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions and linear layers for one picture of `shape` (C, H, W): what [A] calls FLOPs."""
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            kernel = module.kernel_size[0] * module.kernel_size[1]
            total += output[0].numel() * kernel * module.in_channels // module.groups
        elif isinstance(module, nn.Linear):
            total += output[0].numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in net.modules()]
    training = net.training
    try:
        net.eval()(torch.zeros(1, *shape, device=next(net.parameters()).device))
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return total
