"""A folder of images, train/CLASS/file and test/CLASS/file, decoded once and cached as one array.

ablate data=folder data.root=images depth=20
"""

import contextlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from PIL import Image

from ablate.base.errors import AblateError
from ablate.base.files import cache_folder, write_whole
from ablate.base.image_folder import listing, listing_key
from ablate.data.dataset import Dataset

FORM = 3
"""Version of the cached arrays; raised when the same files are decoded into other arrays."""
DEEP = ("I", "F")  # first letters of Pillow's modes with more than 8 bits a channel, which it cannot convert


def load_folder(root: Path) -> Dataset:
    """The images in `root`. Raises AblateError, naming the file, if one cannot be read or does not fit the others."""
    cache = cache_folder() / f"folder-{FORM}-{listing_key(root)}.npz"
    try:
        with open(cache, "rb") as file, numpy.load(file) as stored:
            arrays = dict(stored)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):  # absent or torn
        arrays = _read(root)
        buffer = io.BytesIO()
        numpy.savez(buffer, **arrays)  # type: ignore[arg-type]
        with contextlib.suppress(OSError):  # without a cache the images are decoded again
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_whole(cache, buffer.getvalue())
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    train = int(arrays["train"])
    return Dataset(x[:train], y[:train], x[train:], y[train:], tuple(arrays["classes"].tolist()))


def _read(root: Path) -> dict[str, numpy.ndarray]:
    """All images `x`, those of train/ first, their labels `y`, how many are of train/, and the names of the classes."""
    files = list(listing(root))
    train = [path.parent.name for path in files if path.is_relative_to(root / "train")]
    test = [path.parent.name for path in files[len(train) :]]
    if {*train} != {*test}:
        name = min({*train} ^ {*test})
        raise AblateError(f"data.root={root}: class {name!r} has images in only one of train/ and test/: it needs both")
    classes = sorted({*train})
    if len(classes) < 2:
        raise AblateError(f"data.root={root} has {len(classes)} class folders with images: it needs two or more")
    with ThreadPoolExecutor() as pool:
        images = list(pool.map(_decode, files))
    if {image.ndim for image in images} == {2, 3}:  # greyscale files among coloured ones
        images = [numpy.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image for image in images]
    for path, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            size, first = ("x".join(map(str, one.shape[:2])) for one in (image, images[0]))
            where = f"{path} is {size} pixels (height x width) where {files[0].name} is {first}"
            raise AblateError(f"{where}: all images must have one size")
    x = numpy.stack(images)
    return {
        "x": numpy.ascontiguousarray(x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)),
        "y": numpy.array([classes.index(name) for name in train + test], dtype=numpy.int64),
        "train": numpy.array(len(train)),
        "classes": numpy.array(classes),
    }


def _decode(path: Path) -> numpy.ndarray:
    """uint8 (H, W), or (H, W, 3) if the file is coloured."""
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
