"""What is known of the named sets before they are read, to tell what a run would cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """`shape` is (channels, height, width) of one image; `train` is how many there are to train on."""

    shape: tuple[int, int, int]
    classes: int
    train: int


FACTS = {
    "digits": Facts((1, 8, 8), 10, 1297),
    "cifar10": Facts((3, 32, 32), 10, 50_000),
    "cifar100": Facts((3, 32, 32), 100, 50_000),
}
