"""Where training batches come from: the interface, the dataset that is on the device as a whole, and the choice."""

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from ablate.base.errors import ConfigError
from ablate.base.place import ALONE, Place
from ablate.config.schema import Config
from ablate.data.augment import Augmentation, augmentation, crop_and_flip
from ablate.data.dataset import Dataset, normalise

if TYPE_CHECKING:
    from ablate.data.streamed import Streamed


class Batches(Protocol):
    """The augmented training batches of a run, epoch by epoch, all of `size` images; or this process's part of each.

    `index` is the next batch's position in its epoch, int64 (1,) on the device: as a tensor, so that reading a batch
    does not wait for the device. Who takes a batch advances it. `mean` is subtracted from every image: float32
    (1, C, H, W) in [0, 1].
    """

    size: int
    per_epoch: int
    index: Tensor
    mean: Tensor

    def begin_epoch(self, epoch: int, index: int = 0) -> None:
        """Go to batch `index` of an epoch, whose order and augmentation depend only on the seed and the epoch."""

    def next(self) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, H, W) and labels (B,)."""


class ResidentBatches:
    """Batches of a dataset in memory, on its device. The last, smaller batch of an epoch is dropped, so that batch
    normalisation sees the same number of images in every step.

    Raises ConfigError if the dataset is smaller than a batch.
    """

    def __init__(self, dataset: Dataset, size: int, *, seed: int, shift: int, flip: bool, here: Place = ALONE) -> None:
        self.x, self.y = dataset.train_x, dataset.train_y
        self.mean = dataset.mean
        self.seed, self.shift, self.flip = seed, shift, flip
        self.size, self.per_epoch = size, per_epoch(dataset, size)
        self.part = here.part(size)
        self.index = torch.zeros(1, dtype=torch.int64, device=self.x.device)
        self.augmentation: Augmentation | None = None

    def begin_epoch(self, epoch: int, index: int = 0) -> None:
        whole = augmentation(self.seed, epoch, len(self.y), shift=self.shift, flip=self.flip)
        batches = Augmentation(*map(self._cut, whole))
        if self.augmentation is None:
            self.augmentation = batches
        for place, part in zip(self.augmentation, batches, strict=True):
            place.copy_(part)  # in place: a CUDA graph reads this memory
        self.index.fill_(index)

    def next(self) -> tuple[Tensor, Tensor]:
        """Normalised images (B, C, H, W), augmented, and labels (B,). The caller advances `index`."""
        assert self.augmentation is not None
        # order[self.index] would wait for the device.
        chosen, offsets, flips = (part.index_select(0, self.index)[0] for part in self.augmentation)
        x = normalise(self.x.index_select(0, chosen), self.mean)
        return crop_and_flip(x, offsets, flips, shift=self.shift), self.y.index_select(0, chosen)

    def _cut(self, part: Tensor) -> Tensor:
        """(N, ...) to this process's part of (per_epoch, size, ...), on the device."""
        whole = self.per_epoch * self.size
        return part[:whole].reshape(self.per_epoch, self.size, *part.shape[1:])[:, self.part].to(self.x.device)


def training_batches(
    dataset: "Dataset | Streamed", config: Config, device: torch.device, here: Place = ALONE
) -> Batches:
    """The batches of a run, or a process's part of each, on the device.

    Raises ConfigError if the dataset is smaller than a batch.
    """
    how, size = config.data, config.recipe.batch
    per_epoch(dataset, size)
    if not isinstance(dataset, Dataset):
        from ablate.data.streamed import StreamedBatches

        return StreamedBatches(
            *(dataset, size), seed=config.seed, flip=how.flip, colour=how.colour, device=device, here=here
        )
    return ResidentBatches(dataset, size, seed=config.seed, shift=how.shift, flip=how.flip, here=here)


def per_epoch(dataset: "Dataset | Streamed", size: int) -> int:
    """Batches in an epoch. Raises ConfigError if the dataset is smaller than one."""
    if size > len(dataset.train_y):
        raise ConfigError(f"recipe.batch={size} is more than the {len(dataset.train_y)} training images")
    return len(dataset.train_y) // size
