"""The training loop: set the learning rate, take a step; at the end of each epoch evaluate.

An observer receives the evaluations and decides when to save a checkpoint. The loop knows no files.
"""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ablate.config.schema import Recipe
from ablate.models.generators import generators, restore_generators
from ablate.probes.stages import Probes
from ablate.probes.training import SignalProbe
from ablate.training.chance import Check
from ablate.training.evaluate import Test
from ablate.training.schedule import learning_rate, total_steps
from ablate.training.step import Step


@dataclass(frozen=True)
class Evaluation:
    """The metrics at the end of an epoch. Errors are in percent; train_* are means over the batches of the epoch.

    `lr` is the learning rate of the last step; `seconds` is wall-clock time since the beginning of the run;
    `images_per_second` is over all training steps so far, without evaluations; `probes` are the probes' values,
    `test_top5_error` is that of `evaluate.Test`.
    """

    step: int
    epoch: int
    lr: float
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    seconds: float
    images_per_second: float
    probes: dict[str, float] | None = None
    test_top5_error: float | None = None


@dataclass(frozen=True)
class Ending:
    """How training ended. `diverged_at` is the first step whose loss was not finite, or None.

    `stopped_at`: the number of steps after which it was stopped at chance, or None. `predictions`: the class given to
    each test image after the last step, int64 (N,) on the CPU, unless it diverged.
    """

    diverged_at: int | None
    stopped_at: int | None
    predictions: Tensor | None
    train_loss: float
    train_error: float
    images_per_second: float


class NullObserver:
    """The interface of an observer. This one does nothing."""

    def step(self, step: int) -> None:
        """Called after each step with the number of steps done."""

    def evaluation(self, evaluation: Evaluation) -> None:
        """Called after each epoch."""

    def signal(self, line: dict[str, Any]) -> None:
        """Called after a step that was measured; see `ablate.probes.training`."""

    def wants_checkpoint(self) -> bool:
        """Called after each step, and between the batches of an evaluation."""
        return False

    def checkpoint(self, state: dict[str, Any]) -> None:
        """Called with all that `train` needs to resume here, if it was wanted. May raise, to stop the run."""


def train(
    step: Step,
    take: Callable[[], None],
    evaluate: Callable[[Callable[[], None]], Test],
    recipe: Recipe,
    probes: Probes | None,
    signal: SignalProbe | None,
    check: Check | None,
    observer: NullObserver,
    resume: dict[str, Any] | None,
) -> Ending:
    """Train the step's network in place, from its initial weights or from a checkpoint's state.

    `take` takes a step: `step` itself, or a CUDA graph of it, which a `signal` cannot measure. `evaluate(pause)` tests
    the network; it calls `pause` between batches, which may raise. A loss that is not finite ends the run at the end of
    its epoch: losses are read only then, because reading waits for the device. `check` stops a run that is at chance.
    """
    per_epoch, size, group = step.batches.per_epoch, step.batches.size, step.group
    total = total_steps(recipe, per_epoch)
    clock = _Clock()
    start = _restore(resume, step, clock, probes) if resume else 0

    def pause(done: int, random: list[dict[str, Any]] | None = None) -> None:
        if group.told(observer.wants_checkpoint()):
            state = _state(done, step, clock, probes, random or group.gathered(generators(step.device)))
            with group.led():
                observer.checkpoint(state)

    def end_epoch(done: int, batches: int) -> Ending | None:
        losses = step.losses[:batches].cpu()  # waits for the device, once an epoch
        clock.stop_training()
        training = {
            "train_loss": losses.double().mean().item(),
            "train_error": 100 * step.wrong.item() / (batches * size),
            "images_per_second": done * size / clock.training(),
        }
        infinite = (~torch.isfinite(losses)).nonzero()
        if len(infinite):
            return Ending(done - batches + int(infinite[0]), None, None, **training)
        random = group.gathered(generators(step.device))  # a resumed run repeats the whole evaluation
        with probes.watch() if probes else nullcontext() as values:
            test = evaluate(lambda: pause(done, random))
        evaluation = Evaluation(
            step=done,
            epoch=math.ceil(done / per_epoch),
            lr=learning_rate(done - 1, total, recipe),
            test_loss=test.loss,
            test_error=test.error,
            seconds=clock.seconds(),
            probes=values,
            test_top5_error=test.top5_error,
            **training,
        )
        with group.led():
            observer.evaluation(evaluation)
        if done < total:
            if check is None or not check.due(done, batches):
                return None
            # Losses may differ in their last bits between processes, which must agree: the leader decides.
            if not group.told(check.chance.holds(training["train_loss"], training["train_error"])):
                return None
        if not math.isfinite(test.loss):  # no training loss is of the last step's weights
            return Ending(done - 1, None, None, **training)
        return Ending(None, done if done < total else None, test.predictions.cpu(), **training)

    for number in range(start, total + 1):
        epoch, index = divmod(number, per_epoch)
        if number and (index == 0 or number == total):
            if ending := end_epoch(number, index or per_epoch):
                return ending
            clock.start_training()
        if index == 0 or number == start:
            step.begin_epoch(epoch, index)
        step.rate.fill_(learning_rate(number, total, recipe))
        if signal and signal.wants(number + 1):
            observer.signal(measured(number + 1, step, take, signal))
        else:
            take()
        if probes and (index == per_epoch - 1 or number == total - 1):
            probes.gradients()
        observer.step(number + 1)
        pause(number + 1)
    raise AssertionError("a run has one step or more")


def measured(number: int, step: Step, take: Callable[[], None], signal: SignalProbe) -> dict[str, Any]:
    """Take a step, of which the first is 1; what `signal` measures of it."""
    line: dict[str, Any] = {"step": number}
    with signal.watch(line) as step.measure:
        take()
    step.measure = None
    return line


class _Clock:
    """Seconds of a run over all its sessions, and the part of them spent in training steps."""

    def __init__(self) -> None:
        self.before, self.trained, self.started = 0.0, 0.0, time.perf_counter()
        self.mark: float | None = self.started

    def seconds(self) -> float:
        return self.before + time.perf_counter() - self.started

    def training(self) -> float:
        return self.trained + (time.perf_counter() - self.mark if self.mark is not None else 0.0)

    def stop_training(self) -> None:
        self.trained, self.mark = self.training(), None

    def start_training(self) -> None:
        self.mark = time.perf_counter()


def _state(done: int, step: Step, clock: _Clock, probes: Probes | None, random: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        **step.state_dict(),
        "step": done,
        "seconds": clock.seconds(),
        "training_seconds": clock.training(),
        "generators": random,  # of each process
        **({"gradients": probes.norms} if probes else {}),
    }


def _restore(state: dict[str, Any], step: Step, clock: _Clock, probes: Probes | None) -> int:
    step.load_state_dict(state)
    clock.before, clock.trained = state["seconds"], state["training_seconds"]
    if step.group.place.rank < len(state["generators"]):  # else more processes than before
        restore_generators(state["generators"][step.group.place.rank], step.device)
    if probes:
        probes.norms = state["gradients"]
    return int(state["step"])
