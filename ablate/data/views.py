"""Square views of an image of any size, grey or coloured: at random for training, at fixed places for the test.

Only the view is scaled, not the whole image, with Pillow's bilinear filter. A pixel differs by at most one level from
that of a crop of the scaled image, because Pillow places a view with the precision of float32.

[A] He et al. 2016, arXiv:1512.03385, §3.4.
"""

import numpy
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

Pixels = NDArray[numpy.uint8]


def random_view(image: Image.Image, seed: int, *, shortest: range, side: int, flip: bool) -> Pixels:
    """uint8 (side, side, 3): a random crop of the image, whose shorter side is scaled to one of `shortest` at random.

    With `flip`, half of the views are mirrored. The view depends on `seed` alone.
    """
    scale, across, down, mirror = torch.rand(4, generator=torch.Generator().manual_seed(seed)).tolist()
    size = _scaled(image, shortest[int(scale * len(shortest))])
    left, top = (int(place * (length - side + 1)) for place, length in zip((across, down), size, strict=True))
    view = _view(image, size, left, top, side)
    return numpy.array(ImageOps.mirror(view) if flip and mirror < 0.5 else view)


def central_view(image: Image.Image, *, shortest: int, side: int) -> Pixels:
    """uint8 (side, side, 3): the centre of the image, whose shorter side is scaled to `shortest`."""
    return numpy.array(_central(image, _scaled(image, shortest), side))


def ten_views(image: Image.Image, *, shortest: int, side: int) -> Pixels:
    """uint8 (10, side, side, 3): the four corners, the centre, and the mirror of each."""
    size = _scaled(image, shortest)
    right, bottom = (length - side for length in size)
    corners = [_view(image, size, left, top, side) for top in (0, bottom) for left in (0, right)]
    views = [*corners, _central(image, size, side)]
    return numpy.stack([numpy.array(view) for view in (*views, *map(ImageOps.mirror, views))])


def _scaled(image: Image.Image, shortest: int) -> tuple[int, int]:
    """Width and height where the shorter one is `shortest`; the longer one is rounded down, as by torchvision."""
    width, height = (length * shortest // min(image.size) for length in image.size)
    return width, height


def _central(image: Image.Image, size: tuple[int, int], side: int) -> Image.Image:
    left, top = (round((length - side) / 2) for length in size)
    return _view(image, size, left, top, side)


def _view(image: Image.Image, size: tuple[int, int], left: int, top: int, side: int) -> Image.Image:
    """The square at `left`, `top` of the image scaled to `size`."""
    (width, height), (across, down) = image.size, size
    edges = left * width / across, top * height / down, (left + side) * width / across, (top + side) * height / down
    return image.resize((side, side), Image.Resampling.BILINEAR, edges).convert("RGB")
