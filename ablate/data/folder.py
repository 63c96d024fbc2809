"""A folder of images, train/CLASS/file and test/CLASS/file, decoded once and cached as one array.

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
"""Version of the cached arrays; raised when the same files are decoded into other arrays."""
DEEP = ("I", "F")
"""First letters of Pillow's modes with more than 8 bits a channel, which it cannot convert to 8 bits."""


def _classes(root: Path) -> tuple[str, ...]:
    found = {split: {name for name, *_ in listing(root, split)} for split in SPLITS}
    for one, other in (SPLITS, SPLITS[::-1]):
        lacking = sorted(found[one] - found[other])
        if lacking:
            raise AblateError(
                f"data.root={root}: class {lacking[0]!r} of {one}/ has no image in {other}/: each needs both"
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
                # Pillow warns if a palette with transparency is not converted to RGBA first.
                whole = image.convert("RGBA") if mode == "P" and "transparency" in image.info else image
                return numpy.asarray(whole.convert("L" if mode in ("1", "L") else "RGB"))
    except Exception as error:  # Pillow raises whatever its decoders raise
        raise AblateError(f"{path} cannot be read as an image: remove or replace it") from error
    raise AblateError(f"{path} has more than 8 bits a channel (Pillow's mode {mode}): save it as an 8-bit image")


def _split(root: Path, split: str, classes: tuple[str, ...]) -> tuple[numpy.ndarray, numpy.ndarray]:
    entries = list(listing(root, split))
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(_decode, [path for _, path, _, _ in entries], chunksize=256))
    if {image.ndim for image in images} == {2, 3}:  # greyscale files among coloured ones
        images = [numpy.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image for image in images]
    for (_, path, _, _), image in zip(entries, images, strict=True):
        if image.shape != images[0].shape:
            sizes = "x".join(map(str, image.shape[:2])), "x".join(map(str, images[0].shape[:2]))
            raise AblateError(
                f"{path} is {sizes[0]} pixels (height x width) where {entries[0][1].name} is {sizes[1]}: all images "
                "must have one size"
            )
    x = numpy.stack(images)
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    y = numpy.array([classes.index(name) for name, *_ in entries], dtype=numpy.int64)
    return numpy.ascontiguousarray(x), y


def _read_cache(path: Path) -> dict[str, numpy.ndarray] | None:
    try:
        with open(path, "rb") as file, numpy.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None  # absent or torn


def load_folder(root: Path) -> Dataset:
    """The images in `root`. Raises AblateError, naming the file, if one cannot be read or does not fit the others."""
    classes = _classes(root)
    cache = cache_folder() / f"folder-{FORM}-{listing_key(root)}.npz"
    arrays = _read_cache(cache)
    if arrays is None:
        arrays = {}
        for split in SPLITS:
            arrays[f"{split}_x"], arrays[f"{split}_y"] = _split(root, split, classes)
        if arrays["train_x"].shape[1:] != arrays["test_x"].shape[1:]:
            raise ConfigError(
                f"data.root={root}: images in train/ are {arrays['train_x'].shape[1:]} (channels, height, width), in "
                f"test/ {arrays['test_x'].shape[1:]}: they must be the same"
            )
        buffer = io.BytesIO()
        numpy.savez(buffer, **arrays)  # type: ignore[arg-type]
        try:
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_whole(cache, buffer.getvalue())
        except OSError:
            pass  # without a cache the images are decoded again
    train_x, train_y, test_x, test_y = (
        torch.from_numpy(arrays[f"{split}_{part}"]) for split in SPLITS for part in ("x", "y")
    )
    return Dataset(train_x, train_y, test_x, test_y, classes)
