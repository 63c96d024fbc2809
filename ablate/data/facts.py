"""Shape and size of the named datasets, to check and estimate a run without reading them."""

from dataclasses import dataclass, replace

from ablate.base.errors import ConfigError
from ablate.config.schema import Config, Data


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


def facts(data: Data) -> Facts | None:
    """Those of a named dataset, with its images in the size that `data` asks for; None for other images."""
    known = FACTS.get(data.name)
    if known is None or data.size is None:
        return known
    return replace(known, shape=(known.shape[0], data.size, data.size))


def check(config: Config) -> None:
    """Raise ConfigError if a run needs larger or more images than its named dataset has."""
    known, data, batch = FACTS.get(config.data.name), config.data, config.recipe.batch
    if known is None:
        return
    side = min(known.shape[1:])
    if data.size is not None and side % data.size:
        raise ConfigError(f"data.size={data.size} is invalid: use a divisor of the images' side, {side} pixels")
    side = data.size or side
    if data.shift >= side:
        raise ConfigError(f"data.shift={data.shift} is invalid: use less than the images' side, {side} pixels")
    if known.train - data.validation < batch:
        left = max(0, known.train - data.validation)
        raise ConfigError(f"recipe.batch={batch} is more than the {left} training images of data={data.name}")
