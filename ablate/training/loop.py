"""The training loop: rate, forward, backward, step; at the end of each epoch, evaluate and say so."""

import math
import time
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.config import Recipe
from ablate.data.augment import crop_and_flip, draw
from ablate.data.pictures import Pictures
from ablate.errors import ConfigError
from ablate.training.schedule import learning_rate

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Evaluation:
    """What is known at the end of an epoch. Errors in percent; train_* are means over the epoch's own batches."""

    step: int
    epoch: int
    lr: float
    train_loss: float
    train_error: float
    test_loss: float
    test_error: float
    seconds: float


@dataclass(frozen=True)
class Ending:
    """How a training ended: `diverged_at` is the first step whose loss was not finite, or None."""

    diverged_at: int | None
    train_loss: float
    train_error: float
    images_per_second: float


class Observer(Protocol):
    """What the loop tells the world of."""

    def step(self, step: int) -> None: ...

    def evaluation(self, evaluation: Evaluation) -> None: ...


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
) -> Ending:
    """Train `net` in place on the device that `net` and `pictures` are on.

    A loss that is not finite ends the run at the end of its epoch; it is found there and not at its step, because
    reading a loss waits for the device.
    """
    device, count = pictures.train_x.device, len(pictures.train_y)
    per_epoch, total = count // recipe.batch, total_steps(recipe, count)
    autocast = torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)
    # Weight decay acts on every parameter, gates and batch normalisation included, as in the papers' code.
    optimizer = torch.optim.SGD(
        net.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    mean = per_pixel_mean(pictures.train_x)
    losses = torch.zeros(per_epoch, device=device)
    wrong = torch.zeros((), dtype=torch.int64, device=device)
    started, training_seconds = time.perf_counter(), 0.0
    ending = Ending(None, math.nan, math.nan, math.nan)

    for step in range(total):
        epoch, index = divmod(step, per_epoch)
        if index == 0:
            epoch_started = time.perf_counter()
            chances = draw(seed, epoch, count, shift=shift, flip=flip).to(device)
            net.train()
            wrong.zero_()
        at = slice(index * recipe.batch, (index + 1) * recipe.batch)
        chosen = chances.order[at]
        x = prepare(pictures.train_x[chosen], mean)
        x = crop_and_flip(x, chances.offsets[at], chances.flips[at], shift=shift)
        y = pictures.train_y[chosen]

        rate = learning_rate(step, total, recipe)
        for group in optimizer.param_groups:
            group["lr"] = rate
        with autocast:
            logits = net(x)
        loss = functional.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        losses[index] = loss.detach()
        wrong += (logits.detach().argmax(1) != y).sum()
        observer.step(step + 1)

        if index == per_epoch - 1 or step == total - 1:
            seen = losses[: index + 1].cpu()  # waits for the device, once an epoch
            training_seconds += time.perf_counter() - epoch_started
            finite = torch.isfinite(seen)
            ending = Ending(
                diverged_at=None if finite.all() else step - index + int((~finite).nonzero()[0]),
                train_loss=seen.double().mean().item(),
                train_error=100 * wrong.item() / (len(seen) * recipe.batch),
                images_per_second=(step + 1) * recipe.batch / training_seconds,
            )
            if ending.diverged_at is not None:
                return ending
            test_loss, test_error = evaluate(net, pictures.test_x, pictures.test_y, mean, precision)
            observer.evaluation(
                Evaluation(
                    step=step + 1,
                    epoch=epoch + 1,
                    lr=rate,
                    train_loss=ending.train_loss,
                    train_error=ending.train_error,
                    test_loss=test_loss,
                    test_error=test_error,
                    seconds=time.perf_counter() - started,
                )
            )
    return ending


@torch.no_grad()
def evaluate(net: nn.Module, x: Tensor, y: Tensor, mean: Tensor, precision: torch.dtype) -> tuple[float, float]:
    """Mean cross-entropy and error in percent over all of x, uint8 (N, C, H, W): one view, no augmentation."""
    net.eval()
    loss = torch.zeros((), device=x.device)
    wrong = torch.zeros((), dtype=torch.int64, device=x.device)
    for first in range(0, len(y), EVALUATION_BATCH):
        labels = y[first : first + EVALUATION_BATCH]
        with torch.autocast(x.device.type, dtype=precision, enabled=precision != torch.float32):
            logits = net(prepare(x[first : first + EVALUATION_BATCH], mean))
        loss += functional.cross_entropy(logits.float(), labels, reduction="sum")
        wrong += (logits.argmax(1) != labels).sum()
    return loss.item() / len(y), 100 * wrong.item() / len(y)


def per_pixel_mean(x: Tensor) -> Tensor:
    """The training pictures' mean (1, C, H, W) in [0, 1], which is subtracted from every picture ([A] §4.2)."""
    total = torch.zeros(x.shape[1:], dtype=torch.int64, device=x.device)
    for part in x.split(5000):
        total += part.sum(0, dtype=torch.int64)  # whole numbers: the same mean on every device
    return (total.to(torch.float32) / (255 * len(x)))[None]


def prepare(batch: Tensor, mean: Tensor) -> Tensor:
    """uint8 (B, C, H, W) to float32 less the mean, channels-last, the layout in which convolutions are fastest."""
    return (batch.float().div_(255) - mean).contiguous(memory_format=torch.channels_last)
