"""A dataset as uint8 tensors, small enough to be on the training device as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ablate.base.errors import ConfigError
from ablate.base.place import Place


@dataclass(frozen=True)
class Dataset:
    """Images and labels to train on, and to evaluate on.

    `train_x`: uint8 (N, C, H, W); `train_y`: int64 (N,); `test_x`, `test_y` likewise. `classes` are the names of the
    labels. `evaluated_on` is 'test', or 'validation' if the second pair was held out of the training set.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]
    evaluated_on: str = "test"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        channels, height, width = self.train_x.shape[1:]
        return channels, height, width

    @property
    def mean(self) -> Tensor:
        """The mean image of the training images, (1, C, H, W) in [0, 1]."""
        return per_pixel_mean(self.train_x)

    def test_batches(self, mean: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised test images in their order, and their labels, on the device of the dataset."""
        size = 250 if self.test_x.device.type == "cpu" else 1000  # 1000 do not stay in a CPU's cache
        for images, labels in zip(self.test_x.split(size), self.test_y.split(size), strict=True):
            yield normalise(images, mean), labels

    def part(self, here: Place) -> "Dataset":
        """A process's part of the test images; those of all, in the order of the ranks, are all of them."""
        part = here.part(len(self.test_y))
        return replace(self, test_x=self.test_x[part], test_y=self.test_y[part])

    def to(self, device: torch.device) -> "Dataset":
        moved = {key: getattr(self, key).to(device) for key in ("train_x", "train_y", "test_x", "test_y")}
        return replace(self, **moved)


def smaller(dataset: Dataset, side: int) -> Dataset:
    """The images with sides of `side` pixels, each the mean of a square of the original's, rounded to uint8.

    Raises ConfigError if that is not a whole number of pixels.
    """
    height, width = dataset.shape[1:]
    if height != width or height % side:
        raise ConfigError(
            f"data.size={side} is invalid: images of {height}x{width} can be reduced if they are square, to a divisor"
        )
    return replace(dataset, train_x=_averaged(dataset.train_x, side), test_x=_averaged(dataset.test_x, side))


def _averaged(x: Tensor, side: int) -> Tensor:
    by = x.shape[-1] // side
    parts = [functional.avg_pool2d(part.to(torch.float32), by).round_().to(torch.uint8) for part in x.split(5000)]
    return torch.cat(parts)


def hold_out(dataset: Dataset, count: int) -> Dataset:
    """Replace the test set by `count` training images, the same ones for every seed.

    [A] §4.2 holds out 5,000 of CIFAR-10's 50,000. Raises ConfigError if no training image would remain.
    """
    if count == 0:
        return dataset
    kept, held = held_out(len(dataset.train_y), count)
    x, y = dataset.train_x, dataset.train_y
    return replace(dataset, train_x=x[kept], train_y=y[kept], test_x=x[held], test_y=y[held], evaluated_on="validation")


def held_out(total: int, count: int) -> tuple[Tensor, Tensor]:
    """The places of `total` training images that are trained on, and of the `count` that are held out."""
    if count >= total:
        raise ConfigError(f"data.validation={count} leaves no image to train on: there are {total}")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0))
    return order[count:], order[:count]


def per_pixel_mean(x: Tensor) -> Tensor:
    """Mean image (1, C, H, W) in [0, 1] of x, uint8 (N, C, H, W), which is subtracted from every image ([A] §4.2)."""
    total = torch.zeros(x.shape[1:], dtype=torch.int64, device=x.device)
    for part in x.split(5000):
        total += part.sum(0, dtype=torch.int64)  # in integers, the mean is the same on every device
    return (total.to(torch.float32) / (255 * len(x)))[None]


def normalise(batch: Tensor, mean: Tensor) -> Tensor:
    """uint8 (B, C, H, W) to [0, 1] minus the mean, in its dtype; channels-last, in which convolutions are fastest."""
    return (batch.to(mean.dtype).div_(255) - mean).contiguous(memory_format=torch.channels_last)
