"""CIFAR-10 and CIFAR-100 by torchvision's readers, which check the MD5 of each file."""

from pathlib import Path

import torch
from torchvision import datasets

from ablate.base.errors import AblateError
from ablate.data.dataset import Dataset

SETS = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
MEGABYTES = {"cifar10": 170, "cifar100": 169}


def load_cifar(name: str, root: Path, *, download: bool) -> Dataset:
    """The dataset in `root`, fetched first if `download`. Raises AblateError if it is missing or cannot be fetched."""
    reader = SETS[name]
    parts = {}
    for train in (True, False):
        try:
            parts[train] = reader(root, train=train, download=download)
        except (RuntimeError, OSError) as error:
            raise AblateError(_missing(name, root, error if download else None)) from error
    train_x, test_x = (torch.from_numpy(parts[train].data).permute(0, 3, 1, 2).contiguous() for train in (True, False))
    train_y, test_y = (torch.tensor(parts[train].targets) for train in (True, False))
    return Dataset(train_x, train_y, test_x, test_y, tuple(parts[True].classes))


def _missing(name: str, root: Path, error: Exception | None) -> str:
    reader = SETS[name]
    files = ", ".join(file for file, _ in [*reader.train_list, *reader.test_list])
    expected = f"{(root / reader.base_folder).absolute()} (expected there: {files})"
    if error is None:
        return (
            f"{name} is missing or incomplete in {expected}: add data.download=true to fetch {MEGABYTES[name]} MB, "
            "name another folder with data.root=FOLDER, or use data=digits, which needs no download"
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{name} could not be fetched into {expected}: {reason}; put the files there yourself, or use data=digits"
