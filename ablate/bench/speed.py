"""Steps and images a second: the reference loop, the harness, and the harness with each of its measures off.

Every contestant has a net of its own in this process, and they take turns: what slows the machine down slows all.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ablate.bench.limits import limit
from ablate.bench.reference import Reference
from ablate.config import Config
from ablate.machine import cores
from ablate.terminal import say
from ablate.training import trial
from ablate.training.loop import evaluate
from ablate.training.schedule import learning_rate
from ablate.training.step import Step

REFERENCE, HARNESS = "reference loop", "harness"


@dataclass
class Contestant:
    """`steps` takes one each time it is asked."""

    name: str
    steps: Iterator[None]
    threads: int


def measure(config: Config, *, rounds: int, seconds: float) -> dict[str, Any]:
    """All that is measured of one setting, as plain values."""
    threads = config.threads or cores()
    step, take = _ready(config, threads)
    field = list(_field(config, threads, Contestant(HARNESS, trial.steps(config, step, take), threads)))
    speeds: dict[str, list[float]] = {one.name: [] for one in field}
    for number in range(rounds + 1):
        for one in field:
            speed = _burst(one, step.device, step.batch, seconds if number else 0.0)
            if number:  # the first round warms up
                speeds[one.name].append(speed)
        say(f"  round {number} of {rounds}", error=True)
    torch.set_num_threads(threads)
    bound = limit(step)
    fastest = statistics.median(speeds[HARNESS])
    return {
        "depth": config.depth,
        "shortcut": config.shortcut["name"],
        "picture": [step.pictures.channels, *step.pictures.train_x.shape[2:]],
        "batch": step.batch,
        "precision": str(step.precision).removeprefix("torch."),
        "threads": threads,
        "images_per_second": {name: _spread(values) for name, values in speeds.items()},
        "against_reference": _ratios(speeds, REFERENCE),
        "against_harness": _ratios(speeds, HARNESS),
        "evaluation": _evaluation(config, step, threads, rounds),
        "parts_ms": parts(step, rounds * 5),
        "limit": {
            "bytes": bound.bytes,
            "operations": bound.operations,
            "copy_bytes_per_second": bound.bandwidth,
            "matrix_operations_per_second": bound.rate,
            "bound": bound.bound,
            "images_per_second": step.batch / bound.seconds,
            "percent": 100 * fastest * bound.seconds / step.batch,
        },
    }


def _field(config: Config, threads: int, harness: Contestant) -> Iterator[Contestant]:
    """The harness, its opponents, and it with one measure off at a time."""
    reference = Reference(config)
    yield Contestant(REFERENCE, reference.steps(), threads)
    yield harness

    def less(name: str, config: Config = config, change: Callable[[Step], Any] = lambda step: None) -> Contestant:
        step, take = _ready(config, threads)
        changed = change(step)
        return Contestant(name, trial.steps(config, step, changed or take), config.threads or threads)

    step, _ = _ready(config, threads)
    yield Contestant("the same in a ten-line loop", ten_lines(step, config), threads)
    other = "float32" if step.precision != torch.float32 else "bfloat16"
    yield less(f"harness in {other}", replace(config, precision=other))
    yield less("harness, channels first", change=_channels_first)
    yield less("harness, SGD parameter by parameter", change=_slow_sgd)
    yield less("harness, loss read at each step", change=_reading)
    yield less("harness, pictures by a DataLoader", change=lambda step: _by_loader(step, Reference(config)))
    if step.device.type == "cuda":
        yield less("harness, kernel by kernel", replace(config, graph=False))
        yield less("harness, units compiled", replace(config, compile=True))
    elif threads > 1:
        yield less("harness, one thread", replace(config, threads=1))


def ten_lines(step: Step, config: Config) -> Iterator[None]:
    """What a step costs with nothing around it: no epochs, no observer, no record."""
    number = 0
    while True:
        if number % step.per_epoch == 0:
            trial.begin_epoch(config, step, number)
        step.rate.fill_(learning_rate(0, 1, config.recipe))
        x, y = step.next_batch()
        with torch.autocast(step.device.type, dtype=step.precision, enabled=step.precision != torch.float32):
            logits = step.net(x)
        loss = functional.cross_entropy(logits.float(), y)
        step.optimizer.zero_grad()
        loss.backward()
        step.optimizer.step()
        step.index += 1
        number += 1
        yield


def parts(step: Step, times: int) -> dict[str, float]:
    """Milliseconds of each part of a step, kernel by kernel, the device waited for after each; medians."""
    taken: dict[str, list[float]] = {name: [] for name in ("batch", "forward", "loss", "backward", "SGD", "books")}
    for _ in range(times):
        mark = time.perf_counter()

        def lap(name: str) -> None:
            nonlocal mark
            trial.wait(step.device)
            now = time.perf_counter()
            taken[name].append(1000 * (now - mark))
            mark = now

        step.index.zero_()
        mark = time.perf_counter()
        x, y = step.next_batch()
        lap("batch")
        with torch.autocast(step.device.type, dtype=step.precision, enabled=step.precision != torch.float32):
            logits = step.net(x)
        lap("forward")
        loss = functional.cross_entropy(logits.float(), y)
        step.optimizer.zero_grad()
        lap("loss")
        loss.backward()
        lap("backward")
        step.optimizer.step()
        lap("SGD")
        step.losses.index_copy_(0, step.index, loss.detach()[None])
        step.wrong += (logits.detach().argmax(1) != y).sum()
        lap("books")
    return {name: statistics.median(values) for name, values in taken.items()}


def _ready(config: Config, threads: int) -> tuple[Step, Callable[[], None]]:
    torch.set_num_threads(config.threads or threads)
    return trial.prepare(config, lambda sentence: say(f"ablate.bench: {sentence}", error=True))


def _burst(one: Contestant, device: torch.device, batch: int, seconds: float) -> float:
    """Images a second over at least so many seconds, after a step that is not counted."""
    torch.set_num_threads(one.threads)
    next(one.steps)
    trial.wait(device)
    began, count = time.perf_counter(), 0
    while not count or time.perf_counter() - began < seconds:
        for _ in range(1 if device.type == "cpu" else 20):
            next(one.steps)
            count += 1
        trial.wait(device)
    return count * batch / (time.perf_counter() - began)


def _evaluation(config: Config, step: Step, threads: int, rounds: int) -> dict[str, Any]:
    """Images a second of evaluating the test set, in turns."""
    torch.set_num_threads(threads)
    reference = Reference(config)
    x, y = step.pictures.test_x, step.pictures.test_y
    speeds: dict[str, list[float]] = {REFERENCE: [], HARNESS: []}
    for number in range(rounds + 1):
        for name, what in (
            (REFERENCE, reference.evaluate),
            (HARNESS, lambda: evaluate(step.net, x, y, step.mean, step.precision)),
        ):
            began = time.perf_counter()
            what()
            if number:
                speeds[name].append(len(y) / (time.perf_counter() - began))
    step.net.train()
    return {name: _spread(values) for name, values in speeds.items()}


def _channels_first(step: Step) -> None:
    step.net.to(memory_format=torch.contiguous_format)
    batch = step.next_batch
    step.next_batch = lambda: _contiguous(*batch())  # type: ignore[method-assign]


def _contiguous(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x.contiguous(), y


def _slow_sgd(step: Step) -> None:
    group = step.optimizer.param_groups[0]
    options = {key: group[key] for key in ("momentum", "weight_decay")}
    step.optimizer = torch.optim.SGD(step.net.parameters(), step.rate, foreach=False, **options)


def _reading(step: Step) -> Callable[[], None]:
    def take() -> None:
        step()
        step.losses.sum().item()

    return take


def _by_loader(step: Step, reference: Reference) -> None:
    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for x, y in reference.train:
                yield x.to(step.device).contiguous(memory_format=torch.channels_last), y.to(step.device)

    source = batches()
    step.next_batch = lambda: next(source)  # type: ignore[method-assign]


def _spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _ratios(speeds: dict[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Of each contestant to `base`, round by round."""
    return {
        name: _spread([value / of for value, of in zip(values, speeds[base], strict=True)])
        for name, values in speeds.items()
        if name != base
    }


if sys.platform == "darwin":  # DataLoader's workers cannot be given a lambda there
    torch.multiprocessing.set_start_method("fork", force=True)
