"""Evaluation of a network on a dataset that is on the device."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ablate.data.dataset import normalise
from ablate.training.step import loss_of


@torch.no_grad()
def evaluate(
    network: nn.Module, x: Tensor, y: Tensor, mean: Tensor, pause: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Mean cross-entropy, and error in percent, on x, uint8 (N, C, H, W) on the device, and labels y, int64 (N,).

    In float32, without augmentation. `pause` is called between batches and may raise, to stop.
    """
    network.eval()
    loss = torch.zeros((), device=x.device)
    wrong = torch.zeros((), dtype=torch.int64, device=x.device)
    batch = 250 if x.device.type == "cpu" else 1000  # 1000 do not stay in a CPU's cache
    for images, labels in zip(x.split(batch), y.split(batch), strict=True):
        logits = network(normalise(images, mean))
        loss += loss_of(logits, labels, reduction="sum")
        wrong += (logits.argmax(1) != labels).sum()
        pause()
    return loss.item() / len(y), 100 * int(wrong) / len(y)
