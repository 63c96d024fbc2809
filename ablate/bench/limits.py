"""How fast a step could be at best: what it must move and multiply, against what this device moves and multiplies.

Counted for a network whose normalisations, activations and additions cost nothing, fused into its convolutions: each
convolution's output is written and read in the forward pass; in the backward pass its gradient is written and read, and
the saved output read again: five times its bytes. Multiplied: three times the forward pass's multiply-adds, for the
outputs, the inputs' gradients and the weights'.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ablate.models.cost import multiply_adds, outputs
from ablate.training.setup import wait
from ablate.training.step import Step

TRAFFIC = 5
PASSES = 3
REPEATS = 10


@dataclass(frozen=True)
class Limit:
    """`seconds` is the least a step can take; `bound` says whether by 'memory' or 'arithmetic'."""

    bytes: int
    operations: int
    bandwidth: float  # bytes a second, read and written counted
    rate: float  # operations a second: a multiply-add is two

    @property
    def seconds(self) -> float:
        return max(self.bytes / self.bandwidth, self.operations / self.rate)

    @property
    def bound(self) -> str:
        return "memory" if self.bytes / self.bandwidth > self.operations / self.rate else "arithmetic"


def limit(step: Step) -> Limit:
    """Of `step` on its device, in its precision and with the threads that are set now."""
    shape = (step.dataset.channels, *step.dataset.train_x.shape[2:])
    written = sum(numbers for layer, numbers in outputs(step.net, shape) if isinstance(layer, nn.Conv2d))
    return Limit(
        bytes=TRAFFIC * written * step.batch * step.precision.itemsize,
        operations=PASSES * 2 * multiply_adds(step.net, shape) * step.batch,
        bandwidth=bandwidth(step.device),
        rate=matrix_rate(step.device, step.precision),
    )


@dataclass(frozen=True)
class _Convolution:
    """What decides how long one takes."""

    image: torch.Size
    weight: torch.Size
    dtype: torch.dtype
    of_images: bool  # whose gradient nobody asks for
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


def convolutions(step: Step) -> float:
    """Seconds that a step's convolutions take by themselves, forward and backward, as torch computes each of them."""
    seen: Counter[_Convolution] = Counter()

    def see(module: nn.Module, inputs: tuple[torch.Tensor, ...], _output: object) -> None:
        assert isinstance(module, nn.Conv2d)
        x, weight = inputs[0], module.weight
        dtype = step.precision if torch.is_autocast_enabled(step.device.type) else x.dtype
        how = (module.stride, module.padding, module.dilation, module.groups)
        seen[_Convolution(x.shape, weight.shape, dtype, not x.requires_grad, *how)] += 1

    hooks = [module.register_forward_hook(see) for module in step.net.modules() if isinstance(module, nn.Conv2d)]
    try:
        step.forward(step.next_batch()[0])
    finally:
        for hook in hooks:
            hook.remove()
    return sum(count * _seconds(one, step.device) for one, count in seen.items())


def _seconds(one: _Convolution, device: torch.device) -> float:
    def numbers(shape: torch.Size) -> torch.Tensor:
        drawn = torch.randn(shape, device=device).to(one.dtype).contiguous(memory_format=torch.channels_last)
        return drawn.requires_grad_()

    def forward() -> torch.Tensor:
        return torch.conv2d(x, weight, None, one.stride, one.padding, one.dilation, one.groups)

    x, weight = numbers(one.image), numbers(one.weight)
    wanted = [weight] if one.of_images else [x, weight]
    x.requires_grad_(not one.of_images)
    gradient = numbers(forward().shape).detach()

    def several() -> None:  # in a row, so that a GPU's queue is never empty
        for _ in range(REPEATS):
            torch.autograd.grad(forward(), wanted, gradient)

    return _best(several, device) / REPEATS


def bandwidth(device: torch.device) -> float:
    """Bytes a second of a large copy, the best of several: read and written."""
    size = 2**30 if device.type == "cuda" else 2**28
    source, target = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
    return 2 * size / _best(lambda: target.copy_(source), device)


@torch.no_grad()
def matrix_rate(device: torch.device, precision: torch.dtype) -> float:
    """Operations a second of a large matrix product or a wide convolution, whichever is faster; the best of several."""
    side = 8192 if device.type == "cuda" else 1024
    a, b = (torch.randn(side, side, device=device).to(precision) for _ in range(2))
    product = 2 * side**3 / _best(lambda: a @ b, device)
    # Some libraries convolve faster than they multiply; at 128 channels nothing holds a convolution back.
    batch, width, pixels = (256 if device.type == "cuda" else 16), 128, 16
    x = torch.randn(batch, width, pixels, pixels, device=device).to(precision)
    weight = torch.randn(width, width, 3, 3, device=device).to(precision)
    x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    operations = 2 * batch * pixels**2 * width**2 * 9
    return max(product, operations / _best(lambda: torch.conv2d(x, weight, padding=1), device))


def _best(what: Callable[[], object], device: torch.device, times: int = 10) -> float:
    seconds = []
    for _ in range(times):
        wait(device)
        began = time.perf_counter()
        what()
        wait(device)
        seconds.append(time.perf_counter() - began)
    return min(seconds)
