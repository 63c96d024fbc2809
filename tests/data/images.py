"""Folders of images for tests."""

import itertools

import numpy
from PIL import ExifTags, Image

FORMATS = ("JPEG", "PNG", "BMP", "WEBP")


def write_images(folder, *, train=8, test=4, seed=0):
    """Three classes of images in train/ and val/: of many sizes, four formats, one in each split and class grey."""
    generator, formats = numpy.random.default_rng(seed), itertools.cycle(FORMATS)
    for split, count in (("train", train), ("val", test)):
        for name, number in itertools.product(("ant", "bee", "cat"), range(count)):
            height, width = generator.integers(30, 90, 2)
            coarse = generator.integers(0, 256, (5, 7) if number == 3 else (5, 7, 3), dtype=numpy.uint8)
            path = folder / split / name / f"{number}.{next(formats).lower()}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(path)
    return folder


KINDS = [
    *(("jpg", "RGB", turn) for turn in range(1, 9)),
    *(("jpg", "L", None), ("jpg", "CMYK", None), ("webp", "RGB", 6), ("webp", "RGBA", None), ("bmp", "RGB", None)),
    *(("png", mode, None) for mode in ("RGB", "L", "1", "P", "RGBA", "LA")),
    *(("png", "RGB", 8), ("tif", "RGB", 5), ("tif", "CMYK", None), ("gif", "P", None), ("ppm", "RGB", None)),
]
"""Ending, Pillow's mode, and EXIF orientation."""


def write_varied(folder, *, train, test, classes=10, seed=0):
    """`train` and `test` images in classes: of each kind in turn, of 1 to 120 pixels, and panoramas up to 90:1."""
    generator, kinds = numpy.random.default_rng(seed), itertools.cycle(KINDS)
    for split, number in [*(("train", at) for at in range(train)), *(("val", at) for at in range(test))]:
        ending, mode, turn = next(kinds)
        height, width = generator.integers(*((1, 8) if number % 11 == 0 else (20, 120)), 2).tolist()
        if number % 7 == 0:
            height, width = (4, 10 + 3 * width) if number % 2 else (10 + 3 * height, 4)
        coarse = generator.integers(0, 256, (4, 5, 4), dtype=numpy.uint8)
        image = Image.fromarray(coarse).resize((width, height)).convert("RGBA" if "A" in mode else "RGB").convert(mode)
        exif = Image.Exif()
        if turn:
            exif[ExifTags.Base.Orientation] = turn
        path = folder / split / f"class {number % classes}" / f"{number}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, **({"exif": exif} if turn else {}))
    return folder
