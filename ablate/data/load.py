"""`load` gives the data set that a configuration names."""

from pathlib import Path

from ablate.config import Data
from ablate.data.pictures import Pictures, hold_out
from ablate.errors import ConfigError

SMALLEST = 8
"""Pixels a side: three stages halve the resolution twice and must leave something to convolve."""


def load(data: Data) -> Pictures:
    """The data set as uint8 tensors on the CPU. Raises AblateError where it cannot be read."""
    if data.name == "digits":
        from ablate.data.digits import load_digits

        pictures = load_digits()
    elif data.name in ("cifar10", "cifar100"):
        from ablate.data.cifar import load_cifar

        pictures = load_cifar(data.name, Path(data.root or "data"), download=data.download)
    elif data.name == "folder":
        from ablate.data.folder import load_folder

        pictures = load_folder(Path(data.root or ""))
    else:
        raise ConfigError(f"data.name={data.name} is not one of digits, cifar10, cifar100, folder")
    height, width = pictures.train_x.shape[2:]
    if min(height, width) < SMALLEST:
        raise ConfigError(f"the pictures are {height}x{width}: the net needs {SMALLEST}x{SMALLEST} or more")
    if data.shift >= min(height, width):
        raise ConfigError(
            f"data.shift={data.shift} can leave nothing of a picture of {height}x{width}: it must be below its side"
        )
    return hold_out(pictures, data.validation)
