"""How fast a training step could be: what it must move and multiply, at the best rates that this device reaches.

For a network whose normalisations, activations and additions are fused into its convolutions. Then each convolution's
output is moved five times: it is written and read in the forward pass, and in the backward pass its gradient is written
and read, and itself read again. There are three times the multiply-adds of the forward pass: for the outputs, and for
the gradients of inputs and weights.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from ablate.grid.packing import throughput
from ablate.models.cost import multiply_adds
from ablate.training.setup import Setup


def limit(setup: Setup, reached: float) -> dict[str, Any]:
    """The images a second that memory or arithmetic allows, whichever allows fewer; and how much of it is reached."""
    shape, batch, device = setup.dataset.shape, setup.config.recipe.batch, setup.device
    moved = 5 * convolved(setup.network, shape) * batch * setup.precision.itemsize
    operations = 3 * 2 * multiply_adds(setup.network, shape) * batch
    bandwidth, rate = copy_rate(device), matrix_rate(device, setup.precision)
    allowed = {"memory": batch * bandwidth / moved, "arithmetic": batch * rate / operations}
    bound = min(allowed, key=allowed.__getitem__)
    return {
        "MB a step": moved / 1e6,
        "GB/s of a copy": bandwidth / 1e9,
        "GFLOP a step": operations / 1e9,
        "GFLOP/s of a matrix product or a convolution": rate / 1e9,
        "bound": bound,
        "images/s allowed": allowed[bound],
        "% reached by the harness": 100 * reached / allowed[bound],
        "% of the bandwidth": 100 * reached / allowed["memory"],
        "% of the arithmetic": 100 * reached / allowed["arithmetic"],
    }


@torch.no_grad()
def convolved(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Numbers in the outputs of all convolutions for one image (C, H, W)."""
    counts = []

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            counts.append(output.numel())

    with register_module_forward_hook(count):
        network.eval()(torch.zeros(1, *shape))
    return sum(counts)


def copy_rate(device: torch.device) -> float:
    """Bytes a second of a large copy, read and written."""
    size = 2**30 if device.type == "cuda" else 2**28
    source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return best_rate(lambda: target.copy_(source), 2 * size, device)


@torch.no_grad()
def matrix_rate(device: torch.device, precision: torch.dtype) -> float:
    """Operations a second, two a multiply-add, of a large matrix product or a wide convolution, whichever is faster.

    Some libraries convolve faster than they multiply; at 128 channels they reach their best rate.
    """
    side, batch = (8192, 256) if device.type == "cuda" else (1024, 16)
    shapes = (side, side), (side, side), (batch, 128, 16, 16), (128, 128, 3, 3)
    a, b, x, weight = (torch.randn(shape, device=device).to(precision) for shape in shapes)
    x, weight = (tensor.to(memory_format=torch.channels_last) for tensor in (x, weight))
    product = best_rate(lambda: a @ b, 2 * side**3, device)
    convolution = best_rate(lambda: torch.conv2d(x, weight, padding=1), 2 * x.numel() * weight[0].numel(), device)
    return max(product, convolution)


def best_rate(action: Callable[[], object], amount: int, device: torch.device) -> float:
    """The best of ten measurements of an action that processes `amount`."""
    return max(throughput(action, amount, device, 0.0) for _ in range(10))
