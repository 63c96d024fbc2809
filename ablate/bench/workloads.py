"""What is measured where nothing else is asked for."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import torch
from PIL import Image

from ablate.config.resolve import from_overrides
from ablate.config.schema import Config

COUNTS = {"train": 2560, "test": 1000}
ROWS = "shortcut=identity,none,gate,conv1x1"


@contextmanager
def workloads(overrides: list[str]) -> Iterator[dict[str, Config]]:
    """The settings of `speed` by name: the one that is asked for, or the usual ones of this machine."""
    if overrides:
        yield {" ".join(overrides): from_overrides(*overrides)}
        return
    with _pictures() as root:
        dataset = ["data=folder", f"data.root={root}"]
        if torch.cuda.is_available():
            yield {"32x32 images, depth 110": from_overrides(*dataset, "depth=110")}
        else:
            yield {
                "digits, 8x8, depth 56": from_overrides("depth=56"),
                "32x32 images, depth 20": from_overrides(*dataset, "depth=20"),
            }


@contextmanager
def grids(overrides: list[str]) -> Iterator[dict[str, list[str]]]:
    """The grids of `grid` by name, as words of a command line."""
    if overrides:
        yield {" ".join(overrides): overrides}
        return
    with _pictures() as root:
        dataset = [ROWS, "data=folder", f"data.root={root}"]
        if torch.cuda.is_available():
            long = ["depth=110", "iterations=2000", "seed=0,1,2,3", "pack=auto"]
            yield {"32x32 images, depth 110": [*dataset, *long]}
        else:
            yield {
                "the quickstart": ["+experiment=quickstart"],
                "32x32 images, depth 20": [*dataset, "depth=20", "iterations=200", "hydra/launcher=joblib"],
            }


@contextmanager
def _pictures() -> Iterator[str]:
    """A folder of noise in ten classes: a step takes as long on it as on CIFAR-10."""
    generator = numpy.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for split, count in COUNTS.items():
            for number in range(count):
                place = Path(folder) / split / str(number % 10)
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(generator.integers(0, 256, (32, 32, 3), numpy.uint8)).save(place / f"{number}.png")
        yield folder
