"""Where training batches come from: the interface, and the dataset that is kept on the device."""

from typing import Protocol

import torch
from torch import Tensor

from ablate.base.errors import ConfigError
from ablate.data.augment import Augmentation, augmentation, crop_and_flip
from ablate.data.dataset import Dataset, normalise, per_pixel_mean


class Batches(Protocol):
    """The augmented training batches of a run, epoch by epoch; all of one size.

    `index`: int64 (1,) on the device, the position of the next batch in its epoch. It is a tensor so that reading a
    batch never waits for the device.
    """

    size: int
    per_epoch: int
    index: Tensor

    def begin_epoch(self, epoch: int, index: int = 0) -> None:
        """Go to batch `index` of an epoch, whose order and augmentation depend on seed and epoch alone."""

    def next(self) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, H, W), augmented, and labels (B,). The caller advances `index`."""


class ResidentBatches:
    """Batches of a dataset that is on the device: one gather each. An epoch's last, smaller batch is dropped, so that
    every step normalises over as many images.

    Raises ConfigError if the dataset is smaller than a batch.
    """

    def __init__(self, dataset: Dataset, size: int, *, seed: int, shift: int, flip: bool) -> None:
        self.x, self.y = dataset.train_x, dataset.train_y
        self.mean = per_pixel_mean(self.x)
        self.seed, self.shift, self.flip = seed, shift, flip
        self.size, self.per_epoch = size, per_epoch(dataset, size)
        self.index = torch.zeros(1, dtype=torch.int64, device=self.x.device)
        self.augmentation: Augmentation | None = None

    def begin_epoch(self, epoch: int, index: int = 0) -> None:
        whole = augmentation(self.seed, epoch, len(self.y), shift=self.shift, flip=self.flip)
        batches = Augmentation(*(self._cut(part) for part in (whole.order, whole.offsets, whole.flips)))
        if self.augmentation is None:
            self.augmentation = batches
        else:  # into the same memory, which a CUDA graph reads
            self.augmentation.order.copy_(batches.order)
            self.augmentation.offsets.copy_(batches.offsets)
            self.augmentation.flips.copy_(batches.flips)
        self.index.fill_(index)

    def next(self) -> tuple[Tensor, Tensor]:
        assert self.augmentation is not None
        # Not order[self.index]: that would wait for the device to read the index.
        chosen, offsets, flips = (
            part.index_select(0, self.index)[0]
            for part in (self.augmentation.order, self.augmentation.offsets, self.augmentation.flips)
        )
        x = normalise(self.x.index_select(0, chosen), self.mean)
        return crop_and_flip(x, offsets, flips, shift=self.shift), self.y.index_select(0, chosen)

    def _cut(self, part: Tensor) -> Tensor:
        """(N, ...) to (per_epoch, size, ...) on the device."""
        whole = self.per_epoch * self.size
        return part[:whole].reshape(self.per_epoch, self.size, *part.shape[1:]).to(self.x.device)


def per_epoch(dataset: Dataset, size: int) -> int:
    """Batches in an epoch. Raises ConfigError if the dataset is smaller than one."""
    if size > len(dataset.train_y):
        raise ConfigError(f"recipe.batch={size} is more than the {len(dataset.train_y)} training images")
    return len(dataset.train_y) // size
