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
from PIL import ExifTags, Image, ImageFile, ImageOps, TiffImagePlugin

from ablate.base.errors import AblateError, printable
from ablate.base.files import cache_folder, write_whole
from ablate.base.image_folder import class_of, listing, listing_key
from ablate.base.terminal import say
from ablate.data.dataset import Dataset

FORM = 4
"""Version of the cached arrays; raised when the same files are decoded into other arrays."""
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
"""Pillow's names of the formats for which `_is_deep` and `read_image` are right."""
ORIENTATION = ExifTags.Base.Orientation
TRANSPARENT = "have transparent pixels, which are put on white"
FRAMES = "have several frames, of which the first is read"


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
    files = listing(root)
    names = [class_of(root, path) for path in files]
    classes = sorted({*names})
    with ThreadPoolExecutor() as pool:
        images, changes = zip(*pool.map(decode_image, files), strict=True)
    _warn(root, files, changes)
    if {image.ndim for image in images} == {2, 3}:  # greyscale files among coloured ones
        images = [numpy.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image for image in images]
    for path, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            size, first = ("x".join(map(str, one.shape[:2])) for one in (image, images[0]))
            where = f"{printable(path)} is {size} pixels (height x width) where {printable(files[0].name)} is {first}"
            raise AblateError(f"{where}: all images must have one size")
    x = numpy.stack(images)
    return {
        "x": numpy.ascontiguousarray(x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)),
        "y": numpy.array([classes.index(name) for name in names], dtype=numpy.int64),
        "train": numpy.array(sum(path.is_relative_to(root / "train") for path in files)),
        "classes": numpy.array(classes),
    }


def decode_image(path: Path) -> tuple[numpy.ndarray, list[str]]:
    """The pixels of `read_image`, uint8 (H, W), or (H, W, 3) if they are coloured; and what else the file holds."""
    image, changes = read_image(path)
    return numpy.asarray(image), changes


def read_image(path: Path) -> tuple[Image.Image, list[str]]:
    """An image as viewers show it, of mode L or RGB, and what else the file holds.

    The first frame is turned as its EXIF orientation says and put on white. Colour profiles are ignored.
    """
    try:
        # Not by its path: Pillow 13 does not turn a TIFF that it maps into memory.
        with Image.open(io.BytesIO(path.read_bytes()), formats=FORMATS) as image:
            deep, grey = _is_deep(image), image.mode in ("1", "L", "LA")
            if not deep:
                changes = [FRAMES] if getattr(image, "n_frames", 1) > 1 else []
                # It copies an image that stands upright already.
                upright = image if image.getexif().get(ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
                if upright.mode in ("LA", "PA", "RGBA") or "transparency" in upright.info:
                    upright = upright.convert("RGBA")
                    if upright.getchannel("A").getextrema() != (255, 255):
                        changes.append(TRANSPARENT)
                    upright = Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright)
                return upright.convert("L" if grey else "RGB"), changes
    except Image.DecompressionBombError as error:
        raise AblateError(f"{printable(path)} has too many pixels: scale it down ({error})") from error
    except Exception as error:  # Pillow raises whatever its decoders raise
        raise AblateError(
            f"{printable(path)} cannot be read as an image ({', '.join(FORMATS)}): convert, replace or remove it"
        ) from error
    raise AblateError(f"{printable(path)} has more than 8 bits a channel: save it as an 8-bit image")


def _is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether a file has more than 8 bits a channel, which Pillow refuses to convert or silently cuts."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return bool(max(image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) > 8)
    if image.format == "PNG":
        return str(image.tile[0][3]).endswith(";16B")
    if image.format == "PPM":  # the decoder's arguments are a mode, and the largest value if it is not 255
        arguments = image.tile[0][3]
        return image.mode in ("I", "F") or (isinstance(arguments, tuple) and arguments[1] > 255)
    return False


def _warn(root: Path, files: list[Path], changes: tuple[list[str], ...]) -> None:
    """Print one warning that counts the images of which something is left out."""
    parts = []
    for change in (TRANSPARENT, FRAMES):
        if paths := [path for path, made in zip(files, changes, strict=True) if change in made]:
            parts.append(f"{len(paths)} images {change}, as {paths[0].relative_to(root)}")
    if parts:
        say(f"ablate: warning: {root}: {'; '.join(parts)}", error=True)
