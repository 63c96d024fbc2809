"""What a data set is here: uint8 tensors that live on the training device as a whole."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ablate.errors import ConfigError


@dataclass(frozen=True)
class Pictures:
    """Pictures and labels, to train on and to evaluate on.

    `train_x`: uint8 (N, C, H, W); `train_y`: int64 (N,); `test_x`, `test_y` likewise. `evaluated_on` says whether
    the second pair is the 'test' set or 'validation' pictures held out of the training set.
    """

    train_x: Tensor
    train_y: Tensor
    test_x: Tensor
    test_y: Tensor
    classes: tuple[str, ...]
    evaluated_on: str = "test"

    @property
    def channels(self) -> int:
        return self.train_x.shape[1]

    def to(self, device: torch.device) -> "Pictures":
        moved = {key: getattr(self, key).to(device) for key in ("train_x", "train_y", "test_x", "test_y")}
        return replace(self, **moved)


def hold_out(pictures: Pictures, count: int) -> Pictures:
    """`count` training pictures, drawn once and for every seed alike, take the place of the test set.

    [A] §4.2 chooses on 5,000 of CIFAR-10's 50,000 in this way. Raises ConfigError where too few remain.
    """
    if count == 0:
        return pictures
    total = len(pictures.train_y)
    if count >= total:
        raise ConfigError(f"data.validation={count} leaves nothing to train on: there are {total} training pictures")
    order = torch.randperm(total, generator=torch.Generator().manual_seed(0))
    held, kept = order[:count], order[count:]
    x, y = pictures.train_x, pictures.train_y
    return replace(
        pictures, train_x=x[kept], train_y=y[kept], test_x=x[held], test_y=y[held], evaluated_on="validation"
    )
