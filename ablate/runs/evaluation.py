"""A trained network on a dataset: its errors, its loss and its confusion matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ablate.data.dataset import Dataset
from ablate.training.evaluate import evaluate

TOP = 5
ENOUGH = 10
"""Classes from which on the top-5 error is given."""


@dataclass(frozen=True)
class Answers:
    """Errors in percent. `confusion`: images of each true class (row) that were given each class (column), int64."""

    images: int
    error: float
    top5_error: float | None
    loss: float
    confusion: Tensor


class _Watched(nn.Module):
    """A network whose images are divided by a standard deviation first; keeps its five best classes of each image."""

    def __init__(self, network: nn.Module, std: Tensor) -> None:
        super().__init__()
        self.network, self.std = network, std
        self.best: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images / self.std)
        self.best.append(logits.topk(min(TOP, logits.shape[1]), 1).indices)
        return logits


def answers(network: nn.Module, dataset: Dataset, mean: Tensor, std: Tensor, device: torch.device) -> Answers:
    """`network` on the test images (or those held out) of `dataset`, on `device`, by the code that evaluates runs.

    `mean` is subtracted from images in [0, 1], then they are divided by `std`; both are (1, C, H, W) or (1, C, 1, 1).
    """
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    watched = _Watched(network, std.to(device))
    x, y = dataset.test_x.to(device), dataset.test_y.to(device)
    test = evaluate(watched, x, y, mean.to(device))
    count = len(dataset.classes)
    missed = (torch.cat(watched.best) != y[:, None]).all(1)
    return Answers(
        images=len(y),
        error=test.error,
        top5_error=100 * int(missed.sum()) / len(y) if count >= ENOUGH else None,
        loss=test.loss,
        confusion=torch.bincount(y * count + test.predictions, minlength=count**2).reshape(count, count).cpu(),
    )
