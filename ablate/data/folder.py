"""A folder of your own images, train/CLASS/file and test/CLASS/file, decoded once into one cached array.

ablate data=folder data.root=images depth=20
"""

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from PIL import Image

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import cache_folder, write_whole
from ablate.base.image_folder import SPLITS, listing, listing_key
from ablate.data.dataset import Dataset

FORM = 2
"""Raised when the same files come to be decoded into other arrays, so that no older cache is read."""
DEEP = ("I", "F")
"""How Pillow's names begin for more than 8 bits a channel; it has no conversion of these that keeps the image."""


def _classes(root: Path) -> tuple[str, ...]:
    found = {split: {name for name, *_ in listing(root, split)} for split in SPLITS}
    for one, other in (SPLITS, SPLITS[::-1]):
        lacking = sorted(found[one] - found[other])
        if lacking:
            raise AblateError(
                f"data.root={root}: class {lacking[0]!r} of {one}/ has no image in {other}/: both need every class"
            )
    if len(found["train"]) < 2:
        raise AblateError(
            f"data.root={root} has {len(found['train'])} class folders with images in train/: it needs two or more"
        )
    return tuple(sorted(found["train"]))


def _decode(path: Path) -> numpy.ndarray:
    try:
        with Image.open(path) as image:
            mode = image.mode
            if not mode.startswith(DEEP):
                # A palette with transparency that is not read as RGBA first makes Pillow warn, on two lines.
                whole = image.convert("RGBA") if mode == "P" and "transparency" in image.info else image
                return numpy.asarray(whole.convert("L" if mode in ("1", "L") else "RGB"))
    except Exception as error:  # Pillow raises whatever its decoders raise
        raise AblateError(f"{path} cannot be read as a image: remove it or mend it") from error
    raise AblateError(f"{path} has more than 8 bits a channel (Pillow's mode {mode}): save it as an 8-bit image")


def _split(root: Path, split: str, classes: tuple[str, ...]) -> tuple[numpy.ndarray, numpy.ndarray]:
    entries = list(listing(root, split))
    with ThreadPoolExecutor() as pool:
        dataset = list(pool.map(_decode, [path for _, path, _, _ in entries], chunksize=256))
    if {image.ndim for image in dataset} == {2, 3}:  # grey files among coloured ones
        dataset = [numpy.repeat(p[:, :, None], 3, axis=2) if p.ndim == 2 else p for p in dataset]
    for (_, path, _, _), image in zip(entries, dataset, strict=True):
        if image.shape != dataset[0].shape:
            sizes = "x".join(map(str, image.shape[:2])), "x".join(map(str, dataset[0].shape[:2]))
            raise AblateError(
                f"{path} is {sizes[0]} pixels where {entries[0][1].name} is {sizes[1]}: make all of one size"
            )
    x = numpy.stack(dataset)
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    y = numpy.array([classes.index(name) for name, *_ in entries], dtype=numpy.int64)
    return numpy.ascontiguousarray(x), y


def _read_cache(path: Path) -> dict[str, numpy.ndarray] | None:
    try:
        with open(path, "rb") as file, numpy.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None  # absent, or torn: decode again


def load_folder(root: Path) -> Dataset:
    """All images under `root`. Raises ConfigError or AblateError, naming the file, where they do not make a set."""
    classes = _classes(root)
    cache = cache_folder() / f"folder-{FORM}-{listing_key(root)}.npz"
    arrays = _read_cache(cache)
    if arrays is None:
        arrays = {}
        for split in SPLITS:
            arrays[f"{split}_x"], arrays[f"{split}_y"] = _split(root, split, classes)
        if arrays["train_x"].shape[1:] != arrays["test_x"].shape[1:]:
            raise ConfigError(
                f"data.root={root}: train/ has images of {arrays['train_x'].shape[1:]} (channels, height, width), "
                f"test/ of {arrays['test_x'].shape[1:]}: make them alike"
            )
        buffer = io.BytesIO()
        numpy.savez(buffer, **arrays)  # type: ignore[arg-type]
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_whole(cache, buffer.getvalue())
        except OSError:
            pass  # a cache that cannot be kept costs time, never a run
    train_x, train_y, test_x, test_y = (
        torch.from_numpy(arrays[f"{split}_{part}"]) for split in SPLITS for part in ("x", "y")
    )
    return Dataset(train_x, train_y, test_x, test_y, classes)
