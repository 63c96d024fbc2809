"""Shape and size of the named datasets, to check and estimate a run without reading them."""

from dataclasses import dataclass

from ablate.base.errors import ConfigError
from ablate.config.schema import Config


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


def check(config: Config) -> None:
    """Raise ConfigError if a run needs larger or more images than its named dataset has."""
    facts, data, batch = FACTS.get(config.data.name), config.data, config.recipe.batch
    if facts is None:
        return
    side = min(facts.shape[1:])
    if data.shift >= side:
        raise ConfigError(f"data.shift={data.shift} is invalid: use less than the images' side, {side} pixels")
    if facts.train - data.validation < batch:
        left = max(0, facts.train - data.validation)
        raise ConfigError(f"recipe.batch={batch} is more than the {left} training images of data={data.name}")
