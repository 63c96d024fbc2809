"""Training without a record: the steps of a run as it would take them, to be timed."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from ablate.config import Config
from ablate.data.augment import draw
from ablate.data.load import load
from ablate.models import build
from ablate.training.device import compile_units, make_deterministic, pick_device, pick_precision
from ablate.training.graph import graphed
from ablate.training.loop import Evaluation, per_pixel_mean
from ablate.training.step import Step


class Nobody:
    """Hears what `train` says, and wants nothing."""

    def step(self, step: int) -> None: ...

    def evaluation(self, evaluation: Evaluation) -> None: ...

    def wants_checkpoint(self) -> bool:
        return False

    def checkpoint(self, state: dict[str, Any]) -> None: ...


def prepare(config: Config, warn: Callable[[str], None]) -> tuple[Step, Callable[[], None]]:
    """The step of `config` with its first epoch begun, and what takes it, a graph perhaps. Raises as a run does."""
    device = pick_device(config.device)
    if config.deterministic:
        make_deterministic(device)
    pictures = load(config.data).to(device)
    net = build(config, channels=pictures.channels, classes=len(pictures.classes))
    net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.compile:
        compile_units(net)
    step = Step(
        net,
        pictures,
        config.recipe,
        per_pixel_mean(pictures.train_x),
        shift=config.data.shift,
        precision=pick_precision(config.precision, device, pictures),
    )
    begin_epoch(config, step, 0)
    return step, graphed(step, warn) if config.graph and device.type == "cuda" else step


def begin_epoch(config: Config, step: Step, epoch: int) -> None:
    count = len(step.pictures.train_y)
    step.begin_epoch(draw(config.seed, epoch, count, shift=config.data.shift, flip=config.data.flip))
    step.net.train()


def steps(config: Config, step: Step, take: Callable[[], None]) -> Iterator[None]:
    """Takes a step each time it is asked, one epoch after another."""
    epoch = 0
    while True:
        for _ in range(step.per_epoch):
            take()
            yield
        epoch += 1
        begin_epoch(config, step, epoch)


def wait(device: torch.device) -> None:
    """Until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
