"""Shape and size of the named datasets, to estimate the cost of a run without reading them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """`shape` is (C, H, W) of one image; `train` is the number of training images."""

    shape: tuple[int, int, int]
    classes: int
    train: int


FACTS = {
    "digits": Facts((1, 8, 8), 10, 1297),
    "cifar10": Facts((3, 32, 32), 10, 50_000),
    "cifar100": Facts((3, 32, 32), 100, 50_000),
}
