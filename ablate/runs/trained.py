"""What a finished run leaves beside its numbers: the network, what it answered, and how its images were prepared."""

import io
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import write_whole, writing
from ablate.config.compose import from_tree
from ablate.config.resolve import shipped
from ablate.config.schema import CUSTOM
from ablate.data.dataset import normalise
from ablate.models.build import build
from ablate.models.network import Network
from ablate.runs import layout
from ablate.runs.code import use_copy
from ablate.runs.reading import EVALUATED, NOT_A_RECORD, read_array, read_run
from ablate.runs.record import RESUMES
from ablate.training.checkpoint import save_weights
from ablate.training.loop import Ending
from ablate.training.setup import Training

Transform = Callable[[Tensor], Tensor]


def save(folder: Path, training: Training, ending: Ending, true: Tensor) -> None:
    """Write the weights, the predictions beside the `true` classes, and the mean image.

    Raises AblateError if the disk refuses.
    """
    assert ending.predictions is not None
    kind = numpy.uint8 if int(true.max()) < 256 else numpy.uint16
    arrays = {
        layout.PREDICTIONS: torch.stack([ending.predictions, true.cpu()]).numpy().astype(kind),
        layout.MEAN: training.step.batches.mean[0].cpu().numpy(),
    }
    for name, array in arrays.items():
        buffer = io.BytesIO()
        numpy.save(buffer, array)
        with writing(folder / name, RESUMES):
            write_whole(folder / name, buffer.getvalue())
    with writing(folder / layout.WEIGHTS, RESUMES):
        save_weights(folder / layout.WEIGHTS, training.network)


def load_network(
    folder: str | PathLike[str], *, trust: bool = False, how: str = "trust=True"
) -> tuple[Network, Transform]:
    """The trained network of a finished run, in evaluation mode on the CPU, and the function that prepares its images.

    `folder` is the run's. The function maps uint8 (N, C, H, W) to what the network takes; `network(prepare(images))`
    are logits (N, classes), and `result["images"]["classes"]` of the record names the classes.

    Raises AblateError if there is no such record or it is not finished; ConfigError if it names a class outside this
    package and `trust` is false, which `how` changes. Such a class is taken from the copy in the record.
    """
    path = Path(folder)
    try:
        run = read_run(path)
        if run.state not in EVALUATED:
            raise AblateError(f"{path} is {run.state}: only a finished run has a trained network")
        mean = torch.from_numpy(read_array(path / layout.MEAN))[None]
        content = (path / layout.WEIGHTS).read_bytes()
    except NOT_A_RECORD as error:
        raise AblateError(f"{path} holds no trained network: {error}") from error
    require_trust(run.config, path, trust, how)
    use_copy(path)
    images = run.result["images"]
    network = build(from_tree(run.config), shape=images["shape"], classes=len(images["classes"]))
    try:
        network.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except MemoryError:
        raise
    except Exception as error:  # torch raises anything for a torn or foreign file, and may advise to execute it
        raise AblateError(f"{path / layout.WEIGHTS} is damaged: train the run again, with rerun=all") from error
    return network.eval(), lambda batch: normalise(batch, mean)


def require_trust(tree: dict[str, Any], folder: Path, trust: bool, how: str) -> None:
    """Raise ConfigError if a record names a class outside this package and `trust` is false."""
    for group in (group for group in CUSTOM if group in tree):
        target = str(tree[group].get("_target_"))
        if target not in shipped(group) and not trust:
            raise ConfigError(f"{folder} runs custom code, {target}: look at it, then add {how}")
