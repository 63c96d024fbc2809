"""CIFAR-10 and CIFAR-100 by torchvision's readers, which check the MD5 of each file."""

from pathlib import Path

import torch
from torchvision import datasets

from ablate.base.errors import AblateError, one_line
from ablate.data.dataset import Dataset

SETS = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}


def load_cifar(name: str, root: Path, *, download: bool) -> Dataset:
    """The dataset in `root`, fetched first if `download`. Raises AblateError if it is missing or cannot be fetched."""
    reader = SETS[name]
    parts = {}
    for train in (True, False):
        try:
            parts[train] = reader(root, train=train, download=download)
        except (RuntimeError, OSError) as error:
            problem, advice = "is missing or incomplete", "add data.download=true to fetch 170 MB"
            if download:
                problem, advice = f"could not be fetched ({one_line(error)})", "try again"
            files = ", ".join(file for file, _ in reader.train_list + reader.test_list)
            raise AblateError(
                f"{name} {problem}: {advice}, put {files} into {(root / reader.base_folder).absolute()}, name another "
                "folder with data.root=FOLDER, or use data=digits, which needs no download"
            ) from error
    train_x, test_x = (torch.from_numpy(parts[train].data).permute(0, 3, 1, 2).contiguous() for train in (True, False))
    train_y, test_y = (torch.tensor(parts[train].targets) for train in (True, False))
    return Dataset(train_x, train_y, test_x, test_y, tuple(parts[True].classes))
