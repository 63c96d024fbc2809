"""One run from its configuration to its record."""

import time
import traceback
from dataclasses import asdict

import torch

from ablate.config import Config
from ablate.data.load import load
from ablate.data.pictures import Pictures
from ablate.errors import ConfigError
from ablate.machine import cores
from ablate.models import build
from ablate.models.cost import multiply_adds, parameters
from ablate.runs.progress import Progress
from ablate.runs.provenance import git, versions
from ablate.runs.record import Record
from ablate.runs.signature import SCHEMA, signature
from ablate.training.loop import Ending, Evaluation, total_steps, train


class _Observer:
    """Writes what the loop says into the record, and shows it."""

    def __init__(self, record: Record, progress: Progress) -> None:
        self.record, self.progress = record, progress
        self.evaluations: list[Evaluation] = []

    def step(self, step: int) -> None:
        self.progress.step(step)

    def evaluation(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)
        self.record.metric(asdict(evaluation))
        self.record.log(self.progress.evaluation(evaluation))


def run(config: Config, progress: Progress, *, workers: int = 1) -> Record:
    """Train what `config` asks for, unless its record says that it has been trained, and give the record.

    `workers` is how many runs share this machine's cores. Raises AblateError before any folder is made where the
    data, the net or the device cannot be had; a failure after that is written into the record and raised.
    """
    record = Record(config)
    if record.finished():
        progress.skipped(record)
        return record
    device = pick_device(config.device)
    precision = pick_precision(config.precision, device)
    threads = config.threads or max(1, cores() // workers)
    torch.set_num_threads(threads)
    pictures = load(config.data)
    steps = total_steps(config.recipe, len(pictures.train_y))
    net = build(config, channels=pictures.channels, classes=len(pictures.classes))
    shape = tuple(pictures.train_x.shape[1:])
    facts = {
        "schema": SCHEMA,
        "signature": signature(record.tree),
        "parameters": parameters(net),
        "multiply_adds": multiply_adds(net, shape),  # type: ignore[arg-type]
        "seed": config.seed,
        "evaluated_on": pictures.evaluated_on,
        "train_pictures": len(pictures.train_y),
        "test_pictures": len(pictures.test_y),
        "steps": steps,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "precision": str(precision).removeprefix("torch."),
        "threads": threads,
        "versions": versions(),
        "git": git(),
        "config": record.tree,
    }
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.manual_seed(config.seed)  # what dropout draws from, whatever building the net has drawn

    record.open()
    observer, started = _Observer(record, progress), time.perf_counter()
    record.log(progress.started(record, steps, facts))
    try:
        ending = _train(config, net, pictures.to(device), precision, observer)
    except BaseException as error:
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        reason = f"{type(error).__name__}: {error}".strip(": ")
        record.log(traceback.format_exc())
        record.result({**facts, **_numbers(observer.evaluations, None), "status": status, "reason": reason})
        raise
    result = {**facts, **_numbers(observer.evaluations, ending), "status": "finished"}
    if ending.diverged_at is not None:
        result |= {"status": "diverged", "reason": f"the loss was not finite at step {ending.diverged_at}"}
    result["seconds"] = time.perf_counter() - started
    record.result(result)
    record.log(progress.ended(record, result))
    return record


def _train(
    config: Config, net: torch.nn.Module, pictures: Pictures, precision: torch.dtype, observer: _Observer
) -> Ending:
    return train(
        net,
        pictures,
        config.recipe,
        seed=config.seed,
        shift=config.data.shift,
        flip=config.data.flip,
        precision=precision,
        observer=observer,
    )


def _numbers(evaluations: list[Evaluation], ending: Ending | None) -> dict[str, float | None]:
    """The numbers of a result. A run that did not reach its last epoch has no last epoch's error."""
    whole = ending is not None and ending.diverged_at is None
    return {
        "test_error": evaluations[-1].test_error if whole else None,
        "best_test_error": min((e.test_error for e in evaluations), default=None),
        "train_loss": ending.train_loss if ending else None,
        "train_error": ending.train_error if ending else None,
        "images_per_second": ending.images_per_second if ending else None,
    }


def pick_device(name: str) -> torch.device:
    """`auto` is the first of cuda, mps and cpu that is there. Raises ConfigError for one that is not."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        here = f"{count} of that kind" if count else "none"
        raise ConfigError(f"device={name} is not here (this machine has {here}): use device=auto or device=cpu")
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 autocast on a GPU that computes in it, float32 elsewhere."""
    if name == "auto":
        name = (
            "bfloat16"
            if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            else "float32"
        )
    return torch.bfloat16 if name == "bfloat16" else torch.float32
