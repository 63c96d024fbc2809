"""A folder like ImageNet's: two thousand images of many sizes, formats and orientations."""

from itertools import cycle

import numpy
import pytest
from PIL import Image, ImageOps

from ablate.data.folder import decode_image

COUNTS = {"train": 400, "val": 100}
KINDS = (
    ("RGB", "jpeg"),
    ("RGB", "png"),
    ("L", "jpeg"),
    ("P", "png"),
    ("RGBA", "png"),
    ("CMYK", "jpeg"),
    ("RGB", "webp"),
)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """2,000 images of four classes, each of its own brightness: 12 to 200 pixels on a side, one in fifty a panorama."""
    folder, generator = tmp_path_factory.mktemp("images"), numpy.random.default_rng(0)
    kinds, turns = cycle(KINDS), cycle(range(1, 9))
    for split, count in COUNTS.items():
        for label in range(4):
            (folder / split / f"class {label}").mkdir(parents=True)
            for number in range(count):
                mode, suffix = next(kinds)
                height, width = generator.integers(12, 200, 2)
                if number % 50 == 0:
                    height, width = 16, 1200
                pixels = generator.integers(0, 64, (5, 6, 3)) + 60 * label
                image = Image.fromarray(pixels.astype(numpy.uint8)).resize((int(width), int(height)))
                exif = Image.Exif()
                exif[0x0112] = next(turns)  # the orientation
                image.convert(mode).save(folder / split / f"class {label}" / f"{number}.{suffix}", exif=exif)
    return folder


def test_images_are_decoded_and_turned_as_pillow_does(images):
    for path in sorted(images.glob("val/*/*"))[::7]:
        ours = numpy.asarray(decode_image(path)[0])
        theirs = ImageOps.exif_transpose(Image.open(path))
        grey = theirs.mode == "L"
        wanted = numpy.asarray(theirs.convert("L" if grey else "RGB"))
        assert ours.shape[:2] == wanted.shape[:2], path
        if theirs.mode in ("RGB", "L"):
            assert numpy.array_equal(ours, wanted), path
