"""From a configuration to its dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.base.errors import ConfigError
from ablate.config.schema import Data
from ablate.data.dataset import Dataset, hold_out, smaller
from ablate.data.facts import facts

if TYPE_CHECKING:
    from ablate.data.streamed import Streamed


def prepare(data: Data) -> None:
    """Fetch or decode images once, before several runs start that would all do it. Raises AblateError.

    Images that are neither to be fetched nor to be decoded are not looked for: they may be on another machine only.
    """
    if data.name in ("cifar10", "cifar100") and data.download:
        from ablate.data.cifar import fetch_cifar

        fetch_cifar(data.name, Path(data.root or "data"))
    elif data.name == "folder":
        from ablate.data.folder import load_folder

        load_folder(Path(data.root or ""))


def shape(data: Data) -> tuple[int, int, int]:
    """(C, H, W) of the images, of a folder those of the first, without reading all. Raises AblateError as `load`."""
    if (known := facts(data)) is not None:
        return known.shape
    if data.name == "imagenet":
        from ablate.data.streamed import CROP

        side = data.size or CROP
        return 3, side, side
    from ablate.base.image_folder import listing
    from ablate.data.folder import decode_image

    height, width, *channels = decode_image(listing(Path(data.root or ""))[0])[0].shape
    if data.size is not None:
        height = width = data.size
    return (*channels, 1)[0], height, width


def load(data: Data) -> "Dataset | Streamed":
    """The dataset, on the CPU. Raises ConfigError or AblateError if it is missing, unreadable or too small."""
    if data.name == "imagenet":
        from ablate.data.streamed import load_streamed

        return load_streamed(data)
    if data.name == "digits":
        from ablate.data.digits import load_digits

        dataset = load_digits()
    elif data.name in ("cifar10", "cifar100"):
        from ablate.data.cifar import load_cifar

        prepare(data)
        dataset = load_cifar(data.name, Path(data.root or "data"))
    elif data.name == "folder":
        from ablate.data.folder import load_folder

        dataset = load_folder(Path(data.root or ""))
    else:
        raise ConfigError(f"data.name={data.name} is not one of digits, cifar10, cifar100, folder, imagenet")
    if data.size is not None:
        dataset = smaller(dataset, data.size)
    height, width = dataset.train_x.shape[2:]
    if data.shift >= min(height, width):
        raise ConfigError(
            f"data.shift={data.shift} must be below the side of the images, which are {height} high and {width} wide"
        )
    return hold_out(dataset, data.validation)
