"""What a run needs before it begins, checked before it has a folder: its network, images and code."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from ablate.base import image_folder
from ablate.base.errors import AblateError, one_line
from ablate.config.schema import Data
from ablate.models.build import checked_logits
from ablate.models.cost import multiply_adds, parameters
from ablate.runs.code import check_imported
from ablate.runs.record import Record
from ablate.training import checkpoint
from ablate.training.setup import Setup


def prepare(record: Record, answer: Callable[[], None]) -> tuple[Setup, dict[str, int]]:
    """The training of a run, and its network's parameters and multiply-adds for one image.

    Calls `answer` between its parts, which may stop it. Raises AblateError if the data, the network or the device is
    not available, or if images or code have changed since the run was asked for.
    """
    with _one_thread():
        setup = Setup(record.config)
        _check_images(record.config.data)
        check_imported(record.tree)
        answer()
        return setup, _cost(setup)


@contextmanager
def _one_thread() -> Iterator[None]:
    """To build and count: the threads of several processes that start would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check_images(data: Data) -> None:
    """Raise AblateError if the images of a folder have changed since the configuration got their fingerprint."""
    root = Path(data.root or "")
    if data.name == "folder" and image_folder.fingerprint(root) != data.fingerprint:
        raise AblateError(f"the images in {root} have changed since the run was asked for: start it again")


def _cost(setup: Setup) -> dict[str, int]:
    """Parameters and multiply-adds. Raises AblateError if the network fails on an image or cannot be saved."""
    shape, name = setup.dataset.shape, setup.config.shortcut["name"]
    with checked_logits(setup.network, setup.config, shape, (1, len(setup.dataset.classes))):
        found = {"parameters": parameters(setup.network), "multiply_adds": multiply_adds(setup.network, shape)}
    try:
        checkpoint.check(setup.network)
    except Exception as error:
        raise AblateError(
            f"the state of shortcut {name} cannot be saved in a checkpoint: {one_line(error)}; use tensors, numbers "
            "and strings in its buffers and in get_extra_state"
        ) from error
    return found
