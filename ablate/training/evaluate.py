"""Evaluation of a network on a dataset that is on the device."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ablate.data.dataset import normalise
from ablate.training.step import loss_of


class Test(NamedTuple):
    """Mean cross-entropy; error in percent; and the class given to each image, int64 (N,), on the device."""

    loss: float
    error: float
    predictions: Tensor


@torch.no_grad()
def evaluate(network: nn.Module, x: Tensor, y: Tensor, mean: Tensor, pause: Callable[[], None] = lambda: None) -> Test:
    """The network on x, uint8 (N, C, H, W) on the device, and labels y, int64 (N,).

    In float32, without augmentation. `pause` is called between batches and may raise, to stop.
    """
    network.eval()
    loss = torch.zeros((), device=x.device)
    predictions = []
    batch = 250 if x.device.type == "cpu" else 1000  # 1000 do not stay in a CPU's cache
    for images, labels in zip(x.split(batch), y.split(batch), strict=True):
        logits = network(normalise(images, mean))
        loss += loss_of(logits, labels, reduction="sum")
        predictions.append(logits.argmax(1))
        pause()
    predicted = torch.cat(predictions)
    return Test(loss.item() / len(y), 100 * int((predicted != y).sum()) / len(y), predicted)
