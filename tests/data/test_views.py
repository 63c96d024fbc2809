"""Views of images against Pillow's scaling of whole images and torchvision's crops."""

import numpy
import pytest
from PIL import Image
from scipy.stats import chisquare
from torchvision.transforms import v2

from ablate.data.views import central_view, random_view, ten_views

SIZES = [(61, 47), (47, 61), (500, 375), (64, 64), (9, 9), (3, 200), (401, 2), (1, 1)]


def noise(width, height, channels=3):
    values = numpy.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    return Image.fromarray(values[..., 0] if channels == 1 else values)


def levels(one, other):
    """The largest difference of two images, in levels of 255."""
    return numpy.abs(numpy.asarray(one, dtype=int) - numpy.asarray(other, dtype=int)).max()


@pytest.mark.parametrize("size", SIZES)
def test_fixed_views_are_torchvisions(size):
    image = noise(*size)
    whole = v2.Resize(37)(image)
    theirs = [numpy.asarray(view) for view in v2.TenCrop(32)(whole)]
    assert levels(central_view(image, shortest=37, side=32), v2.CenterCrop(32)(whole)) <= 1
    views = ten_views(image, shortest=37, side=32)
    assert (views.shape, views.dtype) == ((10, 32, 32, 3), numpy.uint8)
    # Theirs crops the mirrored image, whose left is the image's right.
    assert levels(views[:9], [theirs[at] for at in (0, 1, 2, 3, 4, 6, 5, 8, 7)]) <= 1
    assert levels(views[9], theirs[4][:, ::-1]) <= 1


@pytest.mark.parametrize("scale", [1, 5, 6, 7])
def test_shorter_side_has_the_size_that_is_asked_for(scale):
    """RandomShortestSize of torchvision makes 391 pixels of 375 where 392 are asked for."""
    image = noise(375, 375)
    for side in range(56 * scale, 56 * scale + 9):
        views = [random_view(image, 0, shortest=range(side, side + 1), side=side, flip=False)]
        views.append(central_view(image, shortest=side, side=side))
        for view in views:
            assert numpy.array_equal(view, image.resize((side, side), Image.Resampling.BILINEAR))


def test_every_random_view_is_equally_likely():
    """All crops of 4 pixels of a 12×6 image at three scales, and their mirrors; and which of them seeds choose."""
    image, crops, chances = noise(12, 6), [], []
    for shortest in (5, 6, 7):
        whole = numpy.asarray(image.resize((2 * shortest, shortest), Image.Resampling.BILINEAR), dtype=int)
        places = [(left, top) for left in range(2 * shortest - 3) for top in range(shortest - 3)]
        for left, top in places:
            crop = whole[top : top + 4, left : left + 4]
            crops += [crop, crop[:, ::-1]]
            chances += [1 / 3 / len(places) / 2] * 2
    crops, found = numpy.stack(crops), numpy.zeros(len(crops))
    for seed in range(8000):
        view = random_view(image, seed, shortest=range(5, 8), side=4, flip=True)
        away = numpy.abs(crops - view).max((1, 2, 3))
        assert away.min() <= 1
        found[away.argmin()] += 1
    assert chisquare(found, 8000 * numpy.array(chances)).pvalue > 0.001
    unmirrored = [random_view(image, seed, shortest=range(5, 8), side=4, flip=False) for seed in range(50)]
    assert all(numpy.abs(crops[::2] - view).max((1, 2, 3)).min() <= 1 for view in unmirrored)


def test_view_depends_on_its_seed_alone():
    image = noise(61, 47)
    first, again, other = (
        random_view(image, seed, shortest=range(37, 70), side=32, flip=True) for seed in (2**62 - 1, 2**62 - 1, 5)
    )
    assert numpy.array_equal(first, again)
    assert not numpy.array_equal(first, other)


def test_grey_image_is_coloured():
    image = noise(61, 47, channels=1)
    how = {"shortest": 37, "side": 32}
    for view in (central_view(image, **how), random_view(image, 1, shortest=range(37, 70), side=32, flip=True)):
        assert view.shape == (32, 32, 3)
        assert (view == view[..., :1]).all()
    assert numpy.array_equal(central_view(image, **how), central_view(image.convert("RGB"), **how))


def test_only_the_view_of_a_panorama_is_scaled():
    """Whole, this image would have 20,000,000 × 1,000 pixels, which do not fit in memory."""
    view = central_view(noise(20_000, 1), shortest=1_000, side=900)
    assert view.shape == (900, 900, 3)
