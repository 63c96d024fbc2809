"""A folder of images too large for memory: decoded, cut and coloured by workers as they are needed.

ablate net=resnet50 data=imagenet data.root=images

[A] He et al. 2016, arXiv:1512.03385, §3.4.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from ablate.base.errors import AblateError
from ablate.base.image_folder import class_of, evaluation_split, listing
from ablate.base.machine import cores
from ablate.base.place import ALONE, Place
from ablate.base.seeds import derive
from ablate.base.signals import signals_blocked
from ablate.config.schema import Data
from ablate.data.dataset import held_out, normalise
from ablate.data.folder import read_image
from ablate.data.views import central_view, random_view, ten_views

CROP, SHORTEST, LONGEST, TEST = 224, 256, 480, 256
"""[A]: crops of 224 pixels; the shorter side has 256 to 480 in training. In the test it has 256, as for ten crops."""
MEAN = (0.485, 0.456, 0.406)
"""Of ImageNet's training images, by channel, in [0, 1]."""
# Of the colours of ImageNet's pixels in [0, 1], after Krizhevsky et al. 2012, §4.1; values as in fb.resnet.torch.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
COLOUR = 0.1
"""Standard deviation of the random factors of the eigenvalues."""
AHEAD = 2
"""Batches that each worker prepares before they are asked for."""
TEST_BATCH = 64
PATIENCE = 5.0
"""Seconds between a worker's checks that its main process is alive."""


@dataclass(frozen=True)
class Streamed:
    """Files to train on and to evaluate on, by their paths in `root`, and their labels, int64 (N,). `classes` are the
    names of the labels.

    `side` is that of the images that the network gets, (3, side, side); `views` are those of a test image, 1 or 10.
    """

    root: Path
    train: NDArray[numpy.bytes_]
    train_y: Tensor
    test: NDArray[numpy.bytes_]
    test_y: Tensor
    classes: tuple[str, ...]
    side: int
    views: int
    workers: int
    evaluated_on: str = "test"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return 3, self.side, self.side

    @property
    def mean(self) -> Tensor:
        """The mean of each channel, (1, C, 1, 1)."""
        return torch.tensor(MEAN)[None, :, None, None]

    def part(self, here: Place) -> "Streamed":
        """See `Dataset.part`."""
        part = here.part(len(self.test_y))
        return replace(self, test=self.test[part], test_y=self.test_y[part])

    def to(self, device: torch.device) -> "Streamed":
        """Itself: images come to the device batch by batch."""
        return self

    def test_batches(self, mean: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised test images in the order of `test_y`, (B, C, H, W) or (B, views, C, H, W), and their labels."""
        cut = ten_views if self.views == 10 else central_view
        views = partial(cut, shortest=scaled(TEST, self.side), side=self.side)
        files = _Images(self.root, self.test, self.test_y, views)
        for images, labels in _sentences(_loader(files, self.workers, mean.device, batch_size=TEST_BATCH)):
            images, labels = (one.to(mean.device, non_blocking=True) for one in (images, labels))
            images = images.movedim(-1, -3)
            yield normalise(images.flatten(0, -4), mean).unflatten(0, images.shape[:-3]), labels


def load_streamed(how: Data) -> Streamed:
    """The images of root/train and of root/val, or root/test. Raises AblateError if something else is there."""
    root = Path(how.root or "")
    files = listing(root, ("train", evaluation_split(root)))
    names = [class_of(root, path) for path in files]
    classes = sorted({*names})
    places = {name: place for place, name in enumerate(classes)}
    labels = torch.tensor([places[name] for name in names])
    paths = numpy.array([os.fsencode(path.relative_to(root)) for path in files])  # workers share it; a list they copy
    train = sum(path.startswith(b"train") for path in paths.tolist())
    workers = cores() if how.workers is None else how.workers
    found = Streamed(
        *(root, paths[:train], labels[:train], paths[train:], labels[train:]),
        *(tuple(classes), how.size or CROP, how.views, workers),
    )
    if not how.validation:
        return found
    kept, held = held_out(train, how.validation)
    return replace(
        found,
        **{"train": paths[kept.numpy()], "train_y": labels[kept]},
        **{"test": paths[held.numpy()], "test_y": labels[held], "evaluated_on": "validation"},
    )


class StreamedBatches:
    """Batches of streamed images; see `batches.Batches`. The last, smaller batch of an epoch is dropped.

    An image's crop, flip and colour depend on the seed, the epoch and its place in it alone: not on the number of
    workers, nor on where a run was resumed.
    """

    def __init__(
        self,
        files: Streamed,
        size: int,
        *,
        seed: int,
        flip: bool,
        colour: bool,
        device: torch.device,
        here: Place = ALONE,
    ) -> None:
        self.files, self.seed, self.colour, self.device = files, seed, colour, device
        self.size, self.per_epoch = size, len(files.train_y) // size
        self.part = here.part(size)
        self.mean = files.mean.to(device)
        self.index = torch.zeros(1, dtype=torch.int64, device=device)
        shortest = range(scaled(SHORTEST, files.side), scaled(LONGEST, files.side) + 1)
        view = partial(random_view, shortest=shortest, side=files.side, flip=flip)
        images = _Images(files.root, files.train, files.train_y, view)
        # Of the batches to come: image and seed. A sampler that referred to `self` would keep the workers until garbage
        # is collected; torch's queues to them are closed by then, and it waits 5 s for each.
        self.keys: list[list[tuple[int, int]]] = []
        self.loader = _loader(images, files.workers, device, batch_sampler=self.keys, persistent=True)
        self.coming: Iterator[Any] = iter(())
        self.shifts: Iterator[Tensor] = iter(())

    def begin_epoch(self, epoch: int, index: int = 0) -> None:
        generator = torch.Generator().manual_seed(derive(self.seed, "augment", epoch))
        whole = self.per_epoch * self.size
        order = torch.randperm(len(self.files.train_y), generator=generator)[:whole].tolist()
        seeds = torch.randint(2**62, (whole,), generator=generator).tolist()
        factors = COLOUR * torch.randn(whole, 3, generator=generator) if self.colour else torch.zeros(whole, 3)
        pairs = [*zip(order, seeds, strict=True)]
        batches = (pairs[at : at + self.size] for at in range(index * self.size, whole, self.size))
        self.keys[:] = [batch[self.part] for batch in batches]
        shifts = (factors * torch.tensor(EIGENVALUES)) @ torch.tensor(EIGENVECTORS).T
        self.shifts = iter(shifts.split(self.size)[index:])
        self.coming = _sentences(self.loader)
        self.index.fill_(index)

    def next(self) -> tuple[Tensor, Tensor]:
        images, labels = next(self.coming)
        shift = next(self.shifts)[self.part, :, None, None]
        images, labels, shift = (one.to(self.device, non_blocking=True) for one in (images, labels, shift))
        return normalise(images.movedim(-1, -3), self.mean) + shift, labels


class _Images(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Views of images, uint8 (H, W, C) or (views, H, W, C). A key is a place, or a place and the seed of a view."""

    def __init__(
        self, root: Path, files: NDArray[numpy.bytes_], labels: Tensor, view: Callable[..., NDArray[numpy.uint8]]
    ) -> None:
        self.root, self.files, self.labels, self.view = root, files, labels, view

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Any) -> tuple[Tensor, int]:
        place, *seed = key if isinstance(key, tuple) else (key,)
        image, _ = read_image(self.root / os.fsdecode(bytes(self.files[place])))
        return torch.from_numpy(self.view(image, *seed)), int(self.labels[place])


def _loader(images: _Images, workers: int, device: torch.device, *, persistent: bool = False, **how: Any) -> Any:
    if workers:
        how |= {"prefetch_factor": AHEAD, "persistent_workers": persistent, "worker_init_fn": _await_end}
    # Otherwise each iterator would draw from torch's generator, as many numbers as there are sessions and workers.
    how["generator"] = torch.Generator()
    return DataLoader(images, num_workers=workers, pin_memory=device.type == "cuda", **how)


def _await_end(_worker: int) -> None:
    """End a worker when its main process asks for it or is gone. Other signals are blocked: SLURM and terminals send
    them to all processes of a run, which needs its workers until it has stopped.
    """
    if sys.platform == "darwin":  # it does not say who has sent a signal
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    else:
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()  # os.getppid() may be that of a fork server
    assert parent
    while parent.is_alive():
        sent = signal.sigtimedwait({signal.SIGTERM}, PATIENCE)
        if sent and sent.si_pid == parent.pid:
            break
    os._exit(0)


SENTENCE = f"\n{AblateError.__module__}.{AblateError.__name__}: "
"""What comes before an AblateError's message at the end of a worker's traceback."""


def _sentences(loader: Any) -> Iterator[Any]:
    """The batches of a loader. Raises a worker's AblateError as its sentence, without the worker's traceback."""
    try:
        with signals_blocked():  # workers start here and leave them blocked
            batches = iter(loader)
        yield from batches
    except AblateError as error:
        raise AblateError(str(error).strip().rpartition(SENTENCE)[2]) from None


def scaled(side: int, crop: int) -> int:
    """A shorter side that [A] gives for crops of 224 pixels, for other crops."""
    return max(crop, round(side * crop / CROP))
