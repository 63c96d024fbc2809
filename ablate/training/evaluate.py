"""Evaluation of a network on a dataset that is on the device."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ablate.data.dataset import normalise
from ablate.training.step import loss_of

BATCH = {"cpu": 250, "mps": 1000, "cuda": 1000}  # 1000 images do not stay in a CPU's cache


@dataclass(frozen=True)
class Scores:
    """Mean cross-entropy, error in percent, and the class given to each image, int64 (N,) on the device."""

    loss: float
    error: float
    predictions: Tensor


@torch.no_grad()
def evaluate(
    network: nn.Module, x: Tensor, y: Tensor, mean: Tensor, pause: Callable[[], None] = lambda: None
) -> Scores:
    """Test on x, uint8 (N, C, H, W) on the device, and labels y, int64 (N,): in float32, without augmentation.

    `pause` is called between batches and may raise, to stop.
    """
    network.eval()
    loss = torch.zeros((), device=x.device)
    predictions = []
    batch = BATCH[x.device.type]
    for images, labels in zip(x.split(batch), y.split(batch), strict=True):
        logits = network(normalise(images, mean))
        loss += loss_of(logits, labels, reduction="sum")
        predictions.append(logits.argmax(1))
        pause()
    given = torch.cat(predictions)
    return Scores(loss.item() / len(y), 100 * int((given != y).sum()) / len(y), given)
