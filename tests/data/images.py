"""Folders of images for tests."""

import itertools

import numpy
from PIL import Image

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
