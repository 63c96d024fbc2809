"""A trained network on a dataset: its errors, its loss and its confusion matrix."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ablate.data.dataset import Dataset
from ablate.training.device import move
from ablate.training.evaluate import evaluate

if TYPE_CHECKING:
    from ablate.data.streamed import Streamed


@dataclass(frozen=True)
class Answers:
    """Errors in percent. `confusion`: images of each true class (row) that were given each class (column), int64."""

    images: int
    error: float
    top5_error: float | None
    loss: float
    confusion: Tensor


class _Scaled(nn.Module):
    """A network whose images are divided by a standard deviation first."""

    def __init__(self, network: nn.Module, std: Tensor) -> None:
        super().__init__()
        self.network, self.std = network, std

    def forward(self, images: Tensor) -> Any:
        return self.network(images / self.std)


def answers(
    network: nn.Module, dataset: "Dataset | Streamed", mean: Tensor, std: Tensor, device: torch.device
) -> Answers:
    """`network` on the test images (or those held out) of `dataset`, on `device`, by the code that evaluates runs.

    `mean` is subtracted from images in [0, 1], then they are divided by `std`; both are (1, C, H, W) or (1, C, 1, 1).
    """
    move(network, device)
    test = evaluate(_Scaled(network, std.to(device)), dataset.to(device).test_batches(mean.to(device)))
    y, count = dataset.test_y.to(device), len(dataset.classes)
    return Answers(
        images=len(y),
        error=test.error,
        top5_error=test.top5_error,
        loss=test.loss,
        confusion=torch.bincount(y * count + test.predictions, minlength=count**2).reshape(count, count).cpu(),
    )
