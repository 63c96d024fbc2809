"""How fast training images are read: streamed, against torchvision's ImageFolder in a DataLoader."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ablate.base.errors import ConfigError
from ablate.base.machine import cores
from ablate.bench.compare import compare
from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.data.batches import training_batches
from ablate.data.load import load
from ablate.data.streamed import CROP, LONGEST, MEAN, SHORTEST, scaled

STREAMED, PLAIN = "data=imagenet", "ImageFolder and DataLoader"


def loader(overrides: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Images a second of both, with the same crops, flips and workers; each reads for `seconds` in a round.

    Raises ConfigError for another dataset than data=imagenet.
    """
    config = from_overrides(*overrides)
    if config.data.name != "imagenet":
        raise ConfigError(f"data={config.data.name} is not read while training: add {STREAMED} data.root=FOLDER")
    config.data.colour = False  # the other has none
    workers = cores() if config.data.workers is None else config.data.workers
    readers = {STREAMED: _streamed(config), PLAIN: _plain(config, workers)}
    settings = {"batch": config.recipe.batch, "side": config.data.size or CROP, "workers": workers}
    variants = {name: partial(_speed, reader, config.recipe.batch, seconds) for name, reader in readers.items()}
    return {"settings": settings, "reading": compare(rounds, variants, PLAIN, unit="images/s")}


def _streamed(config: Config) -> Iterator[None]:
    """Reads a batch each time."""
    batches = training_batches(load(config.data), config, torch.device("cpu"))
    epoch = 0
    while True:
        batches.begin_epoch(epoch)
        for _ in range(batches.per_epoch):
            batches.next()
            yield
        epoch += 1


def _plain(config: Config, workers: int) -> Iterator[None]:
    side = config.data.size or CROP
    shortest = [*range(scaled(SHORTEST, side), scaled(LONGEST, side) + 1)]
    cut = [v2.RandomShortestSize(shortest), v2.RandomCrop(side), v2.RandomHorizontalFlip(0.5 * config.data.flip)]
    scale = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, [1.0, 1.0, 1.0])]
    transform = v2.Compose([*cut, *scale])
    images = ImageFolder(Path(config.data.root or "") / "train", transform)
    how: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
    reading = DataLoader(images, config.recipe.batch, shuffle=True, drop_last=True, **how)
    while True:
        for _ in reading:
            yield


def _speed(reader: Iterator[None], batch: int, seconds: float) -> float:
    began, read = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        next(reader)
        read += batch
    return read / (time.perf_counter() - began)
