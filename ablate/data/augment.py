"""Random crop and flip of [A] §4.2, as functions on a whole batch.

The augmentation of an epoch depends only on the seed and the epoch: not on the device, the precision or the network.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ablate.base.seeds import derive


class Augmentation(NamedTuple):
    """Random augmentation parameters of one epoch.

    `order`: int64 (N,), a permutation; `offsets`: int64 (N, 2), the crop's top left corner in the padded image;
    `flips`: bool (N,).
    """

    order: Tensor
    offsets: Tensor
    flips: Tensor


def augmentation(seed: int, epoch: int, count: int, *, shift: int, flip: bool) -> Augmentation:
    """Order, crops and flips of one epoch over `count` images. Offsets are from 0 to 2 · shift pixels."""
    generator = torch.Generator().manual_seed(derive(seed, "augment", epoch))
    order = torch.randperm(count, generator=generator)
    offsets = torch.randint(0, 2 * shift + 1, (count, 2), generator=generator)
    flips = torch.randint(0, 2, (count,), generator=generator).bool()
    return Augmentation(order, offsets, flips if flip else torch.zeros_like(flips))


def crop_and_flip(batch: Tensor, offsets: Tensor, flips: Tensor, *, shift: int) -> Tensor:
    """Pad a batch (B, C, H, W) by `shift` zeros, crop (H, W) at each offset, mirror the images in `flips`.

    After normalisation a zero is the mean image.
    """
    if shift:
        height, width = batch.shape[2:]
        padded = functional.pad(batch, (shift,) * 4)
        rows = offsets[:, :1] + torch.arange(height, device=batch.device)
        columns = offsets[:, 1:] + torch.arange(width, device=batch.device)
        columns = torch.where(flips[:, None], columns.flip(1), columns)
        image = torch.arange(len(batch), device=batch.device)[:, None, None]
        # Indexing puts the indexed axes first: (B, H, W, C), which is channels-last once it is permuted.
        return padded[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    return torch.where(flips[:, None, None, None], batch.flip(3), batch)
