"""CIFAR-10 and CIFAR-100: fetched file by file, and read by torchvision, which checks the MD5 of each file."""

import hashlib
import http.client
import shutil
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from torchvision import datasets

from ablate.base.errors import AblateError, one_line
from ablate.base.files import write_whole
from ablate.base.terminal import say
from ablate.data.dataset import Dataset

SETS = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
TIMEOUT = 60.0
"""Seconds without an answer after which a download has failed."""


def load_cifar(name: str, root: Path) -> Dataset:
    """The dataset in `root`. Raises AblateError if it is missing or cannot be read."""
    reader = SETS[name]
    try:
        train, test = (reader(root, train=train) for train in (True, False))
    except RuntimeError as error:
        raise _error(name, root, "is missing or incomplete: add data.download=true to fetch 170 MB") from error
    except OSError as error:
        raise _error(name, root, f"cannot be read ({one_line(error)}): correct that") from error
    train_x, test_x = (torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous() for part in (train, test))
    train_y, test_y = (torch.tensor(part.targets) for part in (train, test))
    return Dataset(train_x, train_y, test_x, test_y, tuple(train.classes))


def fetch_cifar(name: str, root: Path) -> None:
    """Fetch the files that `root` lacks, from the archive in `root` if there is one. Raises AblateError.

    Each file appears as a whole, so commands that fetch at the same time do not disturb each other or a reader.
    """
    reader = SETS[name]
    folder, archive = root / reader.base_folder, root / reader.filename
    advice = f"remove {archive}" if archive.exists() else "try again"
    sums = dict(reader.train_list + reader.test_list) | {reader.meta["filename"]: reader.meta["md5"]}
    try:
        if all((folder / file).exists() and _md5((folder / file).read_bytes()) == md5 for file, md5 in sums.items()):
            return
        folder.mkdir(parents=True, exist_ok=True)
        with _archive(name, root) as stream, tarfile.open(fileobj=stream) as tar:
            for file, md5 in sums.items():
                member = tar.extractfile(f"{reader.base_folder}/{file}")
                content = member.read() if member else b""
                if _md5(content) != md5:
                    raise OSError(f"{file} in it is damaged")
                write_whole(folder / file, content)
    except (OSError, EOFError, KeyError, http.client.HTTPException, tarfile.TarError, zlib.error) as error:
        raise _error(name, root, f"could not be fetched ({one_line(error)}): {advice}") from error


@contextmanager
def _archive(name: str, root: Path) -> Iterator[IO[bytes]]:
    """The archive in `root`, or one that is fetched into a file without a name, so that nothing is left of it."""
    reader = SETS[name]
    if (root / reader.filename).exists():
        with open(root / reader.filename, "rb") as stream:
            yield stream
        return
    say(f"{name}: fetching {reader.url} (170 MB) into {root}")
    with tempfile.TemporaryFile(dir=root) as stream:
        with urllib.request.urlopen(reader.url, timeout=TIMEOUT) as response:
            shutil.copyfileobj(response, stream)
        stream.seek(0)
        yield stream


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _error(name: str, root: Path, problem: str) -> AblateError:
    reader = SETS[name]
    files = ", ".join(file for file, _ in reader.train_list + reader.test_list)
    return AblateError(
        f"{name} {problem}, put {files} into {(root / reader.base_folder).absolute()}, name another folder with "
        "data.root=FOLDER, or use data=digits, which needs no download"
    )
