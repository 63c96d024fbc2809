"""Test loss and test error of a network."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ablate.data.dataset import normalise
from ablate.training.step import autocast, loss_of

BATCH = {"cpu": 250, "mps": 1000, "cuda": 1000}  # 1000 images do not fit a CPU's cache


@torch.no_grad()
def evaluate(
    network: nn.Module,
    x: Tensor,
    y: Tensor,
    mean: Tensor,
    precision: torch.dtype,
    pause: Callable[[], None] = lambda: None,
) -> tuple[float, float]:
    """Mean cross-entropy and error in percent over x, uint8 (N, C, H, W) on the device, without augmentation.

    `pause` is called between batches and may raise, to stop.
    """
    network.eval()
    loss = torch.zeros((), device=x.device)
    wrong = torch.zeros((), dtype=torch.int64, device=x.device)
    batch = BATCH[x.device.type]
    for images, labels in zip(x.split(batch), y.split(batch), strict=True):
        with autocast(x.device, precision):
            logits = network(normalise(images, mean))
        loss += loss_of(logits, labels, reduction="sum")
        wrong += (logits.argmax(1) != labels).sum()
        pause()
    return loss.item() / len(y), 100 * wrong.item() / len(y)
