"""What is measured if the command line names nothing else."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy
import torch
from PIL import Image


@contextmanager
def usual(benchmark: str) -> Iterator[list[list[str]]]:
    """Overrides of each workload."""
    if benchmark == "threads":
        yield [["depth=56", "iterations=40", "device=cpu"]]
        return
    if benchmark == "probes":
        yield [["depth=56", f"shortcut={name}", "threads=1", "device=cpu"] for name in ("identity", "gate", "conv1x1")]
        return
    gpu = torch.cuda.is_available()
    if benchmark in ("records", "tracker"):
        yield [["depth=56", "threads=1", "device=cpu"]]
        return
    if benchmark == "start":
        yield [["depth=56", "iterations=1"], ["-m", "+experiment=quickstart", "iterations=1"]]
        return
    if benchmark == "verdict":
        yield [["+experiment=quickstart", "threads=1"]]
        return
    with tempfile.TemporaryDirectory() as folder:
        if benchmark == "loader":
            _write_photographs(Path(folder))
            yield [["data=imagenet", f"data.root={folder}", "recipe.batch=32"]]
            return
        write_noise(Path(folder))
        images = ["data=folder", f"data.root={folder}", "depth=110" if gpu else "depth=20"]
        rows = [*images, "shortcut=identity,none,gate,conv1x1"]
        if benchmark == "memory":
            yield [[*images[:2], "depth=110"], [*images[:2], "unit=bottleneck", "depth=1001", "recipe.batch=16"]]
        elif benchmark == "speed":
            yield [images] if gpu else [["depth=56"], images]
        elif gpu:
            yield [[*rows, "iterations=2000", "seed=0,1,2,3", "pack=auto"]]
        else:
            yield [["+experiment=quickstart"], [*rows, "iterations=200", "hydra/launcher=joblib"]]


def write_noise(folder: Path, train: int = 2560, test: int = 1000) -> None:
    """Random images of 32x32 in ten classes: a step takes as long on them as on CIFAR-10."""
    generator = numpy.random.default_rng(0)
    for split, count in {"train": train, "test": test}.items():
        for number in range(count):
            path = folder / split / str(number % 10) / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(0, 256, (32, 32, 3), numpy.uint8)).save(path)


def _write_photographs(folder: Path) -> None:
    """JPEG files of 500x375 pixels, the usual size of ImageNet's, smooth enough to be about as large."""
    generator = numpy.random.default_rng(0)
    for split, count in {"train": 256, "val": 16}.items():
        for number in range(count):
            path = folder / split / str(number % 4) / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            coarse = Image.fromarray(generator.integers(0, 256, (94, 125, 3), numpy.uint8))
            coarse.resize((500, 375), Image.Resampling.BICUBIC).save(path, quality=90)
