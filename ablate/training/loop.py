"""The training loop: rate, forward, backward, step; at the end of each epoch, evaluate and say so."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.config import Recipe
from ablate.data.augment import draw
from ablate.data.pictures import Pictures
from ablate.errors import ConfigError
from ablate.seeds import derive
from ablate.training import graph
from ablate.training.checkpoint import generators, restore_generators, seed_generators
from ablate.training.probes import Probes
from ablate.training.schedule import learning_rate
from ablate.training.step import Step, prepare

EVALUATION_BATCH = {"cpu": 250, "mps": 1000, "cuda": 1000}  # 1000 do not stay in the cache of a CPU


@dataclass(frozen=True)
class Evaluation:
    """What is known at the end of an epoch. Errors in percent; train_* are means over the epoch's own batches.

    `images_per_second` is of the training so far, without evaluations; `probes` is what they measured, if they are on.
    """

    step: int
    epoch: int
    lr: float
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    seconds: float
    images_per_second: float | None = None  # None: from a checkpoint of before it was noted
    probes: dict[str, float] | None = None


@dataclass(frozen=True)
class Ending:
    """How a training ended: `diverged_at` is the first step whose loss was not finite, or None."""

    diverged_at: int | None
    train_loss: float
    train_error: float
    images_per_second: float


class Observer(Protocol):
    """What the loop tells the world of, and asks it."""

    def step(self, step: int) -> None:
        """`step` steps are done."""

    def evaluation(self, evaluation: Evaluation) -> None:
        """An epoch is over."""

    def wants_checkpoint(self) -> bool:
        """Asked after every step and within evaluations."""

    def checkpoint(self, state: dict[str, Any]) -> None:
        """All that `train` needs to go on from here. May raise, to stop here."""


def total_steps(recipe: Recipe, pictures: int) -> int:
    """The length of a run in steps. An epoch is of whole batches, so that every step normalises over as many."""
    per_epoch = pictures // recipe.batch
    if not per_epoch:
        raise ConfigError(f"recipe.batch={recipe.batch} is more than the {pictures} training pictures")
    return recipe.iterations if recipe.iterations is not None else (recipe.epochs or 0) * per_epoch


def train(
    net: nn.Module,
    pictures: Pictures,
    recipe: Recipe,
    *,
    seed: int,
    shift: int,
    flip: bool,
    precision: torch.dtype,
    observer: Observer,
    resume: dict[str, Any] | None = None,
    probes: Probes | None = None,
    accelerate: Callable[[Step], Callable[[], None]] | None = None,
) -> Ending:
    """Train `net` in place on the device that `net` and `pictures` are on, from the start or from a checkpoint.

    A loss that is not finite ends the run at the end of its epoch; it is found there and not at its step, because
    reading a loss waits for the device. `accelerate` gives what takes steps in place of the step that it is given.
    """
    device, count = pictures.train_x.device, len(pictures.train_y)
    per_epoch, total = count // recipe.batch, total_steps(recipe, count)
    mean = per_pixel_mean(pictures.train_x)
    the_step = Step(net, pictures, recipe, mean, shift=shift, precision=precision)
    take_step: Callable[[], None] = the_step
    start, seconds_before, training_seconds = 0, 0.0, 0.0
    if resume:
        the_step.load_state_dict(resume)
        start, seconds_before, training_seconds = resume["step"], resume["seconds"], resume["training_seconds"]
        restore_generators(resume["generators"], device)
        if probes:
            probes.norms = resume["gradients"]
    else:
        seed_generators(derive(seed, "training"))
    started = mark = time.perf_counter()
    step, begun = start, False

    def look() -> None:
        if observer.wants_checkpoint():
            now = time.perf_counter()
            observer.checkpoint(
                {
                    **the_step.state_dict(),
                    "step": step,
                    "seconds": seconds_before + now - started,
                    "training_seconds": training_seconds + (now - mark) * net.training,
                    "generators": generators(device),
                    **({"gradients": probes.norms} if probes else {}),
                }
            )

    while True:
        epoch, index = divmod(step, per_epoch)
        if step and (index == 0 or step == total):  # an epoch is over, or the run is
            batches = index or per_epoch
            seen = the_step.losses[:batches].cpu()  # waits for the device, once an epoch
            now = time.perf_counter()
            training_seconds, mark = training_seconds + now - mark, now
            finite = torch.isfinite(seen)
            ending = Ending(
                diverged_at=None if finite.all() else step - batches + int((~finite).nonzero()[0]),
                train_loss=seen.double().mean().item(),
                train_error=100 * the_step.wrong.item() / (batches * recipe.batch),
                images_per_second=step * recipe.batch / training_seconds,
            )
            if ending.diverged_at is not None:
                return ending
            with probes.watch() if probes else nullcontext() as measured:
                test_loss, test_error = evaluate(net, pictures.test_x, pictures.test_y, mean, precision, pause=look)
            observer.evaluation(
                Evaluation(
                    step=step,
                    epoch=epoch + bool(index),
                    lr=learning_rate(step - 1, total, recipe),
                    train_loss=ending.train_loss,
                    train_error=ending.train_error,
                    test_loss=test_loss,
                    test_error=test_error,
                    seconds=seconds_before + time.perf_counter() - started,
                    images_per_second=ending.images_per_second,
                    probes=measured,
                )
            )
            if step == total:  # no training loss has judged the last step
                return ending if math.isfinite(test_loss) else replace(ending, diverged_at=step - 1)
            mark = time.perf_counter()
        if index == 0:
            the_step.wrong.zero_()
        if index == 0 or not begun:
            the_step.begin_epoch(draw(seed, epoch, count, shift=shift, flip=flip), index)
            net.train()
            begun = True
            the_step.rate.fill_(learning_rate(step, total, recipe))
            if accelerate and the_step.per_epoch - index >= graph.STEPS:
                take_step, accelerate = accelerate(the_step), None
                mark = time.perf_counter()  # making a graph is no training
        the_step.rate.fill_(learning_rate(step, total, recipe))
        take_step()
        step += 1
        if probes and (index == per_epoch - 1 or step == total):
            probes.gradients()
        observer.step(step)
        look()


@torch.no_grad()
def evaluate(
    net: nn.Module, x: Tensor, y: Tensor, mean: Tensor, precision: torch.dtype, pause: Callable[[], None] = lambda: None
) -> tuple[float, float]:
    """Mean cross-entropy and error in percent over all of x, uint8 (N, C, H, W): one view, no augmentation.

    `pause` is called between batches and may raise, to give up.
    """
    net.eval()
    loss = torch.zeros((), device=x.device)
    wrong = torch.zeros((), dtype=torch.int64, device=x.device)
    batch = EVALUATION_BATCH[x.device.type]
    for some, labels in zip(x.split(batch), y.split(batch), strict=True):
        with torch.autocast(x.device.type, dtype=precision, enabled=precision != torch.float32):
            logits = net(prepare(some, mean))
        loss += functional.cross_entropy(logits.float(), labels, reduction="sum")
        wrong += (logits.argmax(1) != labels).sum()
        pause()
    return loss.item() / len(y), 100 * wrong.item() / len(y)


def per_pixel_mean(x: Tensor) -> Tensor:
    """The training pictures' mean (1, C, H, W) in [0, 1], which is subtracted from every picture ([A] §4.2)."""
    total = torch.zeros(x.shape[1:], dtype=torch.int64, device=x.device)
    for part in x.split(5000):
        total += part.sum(0, dtype=torch.int64)  # whole numbers: the same mean on every device
    return (total.to(torch.float32) / (255 * len(x)))[None]
