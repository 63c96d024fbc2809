"""Steps and images a second: the reference loop, the harness, and the harness with each of its measures off.

Every variant has a network of its own, and they take turns: what slows the machine down slows all. The harness is
`train` itself, with nobody listening. What differs from it for a whole process, as the reference does, has its own.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ablate.base.errors import ConfigError
from ablate.base.machine import cores
from ablate.base.terminal import say
from ablate.bench.limits import convolutions, limit
from ablate.bench.process import BenchmarkProcess, Burst
from ablate.bench.reference import Reference
from ablate.config.schema import Config
from ablate.training import setup as trial
from ablate.training.device import keep_memory
from ablate.training.graph import STEPS, graphed
from ablate.training.loop import evaluate, train
from ablate.training.schedule import learning_rate
from ablate.training.step import Step

REFERENCE, HARNESS, TEN_LINES = "reference loop", "harness", "the same in ten lines"


@dataclass
class Variant:
    """`burst` trains for about so many seconds and gives images a second."""

    name: str
    burst: Burst
    threads: int


def measure(config: Config, *, rounds: int, seconds: float) -> dict[str, Any]:
    """All that is measured of one setting, as plain values."""
    threads = config.threads or cores()
    torch.set_num_threads(threads)
    keep_memory()
    step = _prepared(replace(config, compile=False))  # as it is counted and looked into
    if step.per_epoch < STEPS:
        raise ConfigError(f"an epoch of {step.per_epoch} steps is too short to be measured: use a smaller recipe.batch")
    with ExitStack() as stack:
        field = list(_field(config, step, threads, stack))
        speeds: dict[str, list[float]] = {one.name: [] for one in field}
        for number in range(rounds + 1):
            for one in field:
                torch.set_num_threads(one.threads)
                speed = one.burst(seconds if number else 0.0)
                if number:  # the first round warms up
                    speeds[one.name].append(speed)
            say(f"  round {number} of {rounds}", error=True)
        torch.set_num_threads(threads)
        evaluation = _evaluation(config, step, threads, rounds, stack)
    bound = limit(step)
    fastest = statistics.median(speeds[HARNESS])
    return {
        "depth": config.depth,
        "shortcut": config.shortcut["name"],
        "image": [step.dataset.channels, *step.dataset.train_x.shape[2:]],
        "batch": step.batch,
        "precision": str(step.precision).removeprefix("torch."),
        "threads": threads,
        "images_per_second": {name: spread(values) for name, values in speeds.items()},
        "against_reference": _ratios(speeds, REFERENCE),
        "against_harness": _ratios(speeds, HARNESS),
        "evaluation": evaluation,
        "parts_ms": parts(step, rounds * 5),
        "convolutions_ms": 1000 * convolutions(step),
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


def _field(config: Config, step: Step, threads: int, stack: ExitStack) -> Iterator[Variant]:
    """The harness, its opponents, and it with one measure off at a time; `stack` ends their processes."""
    yield Variant(REFERENCE, stack.enter_context(BenchmarkProcess(_reference, config, threads)), threads)
    yield Variant(HARNESS, _training(config), threads)
    yield Variant(TEN_LINES, _by_steps(ten_lines(_prepared(config), config), step.batch, step.device), threads)
    other = "float32" if step.precision != torch.float32 else "bfloat16"
    yield Variant(f"harness in {other}", _training(replace(config, precision=other)), threads)
    # What cannot be part of a graph is to be compared with the harness kernel by kernel.
    yield Variant("harness, channels first", _training(config, _channels_first), threads)
    plain = replace(config, graph=False)
    yield Variant("harness, SGD parameter by parameter", _training(plain, _slow_sgd), threads)
    yield Variant("harness, loss read at each step", _training(config, after=lambda s: s.losses.sum().item()), threads)
    yield Variant("harness, images by a DataLoader", _training(plain, _by_loader(config)), threads)
    if config.graph:
        yield Variant("harness, kernel by kernel", _training(plain), threads)
    if step.device.type == "cuda":
        yield Variant("harness, units compiled", _training(replace(config, compile=True)), threads)
        return
    returned = stack.enter_context(BenchmarkProcess(_with_memory_returned, config, threads))
    yield Variant("harness, memory given back", returned, threads)
    if threads > 1:
        yield Variant("harness, one thread", _training(config), 1)


def _reference(config: Config, threads: int) -> Burst:
    torch.set_num_threads(threads)
    reference = Reference(config)
    return _by_steps(reference.steps(), config.recipe.batch, reference.device)


def _reference_evaluation(config: Config, threads: int) -> Burst:
    torch.set_num_threads(threads)
    reference = Reference(config)
    return lambda _: _timed(reference.evaluate)


def _with_memory_returned(config: Config, threads: int) -> Burst:
    torch.set_num_threads(threads)
    return _training(config)


def _training(
    config: Config, change: Callable[[Step], None] | None = None, after: Callable[[Step], object] | None = None
) -> Burst:
    """Bursts of `train`, its step changed before it becomes a graph perhaps, and followed by something."""
    step = _prepared(config)
    guess = step.batch / 1.0  # images a second; each burst tells more

    def accelerate(step: Step) -> Callable[[], None]:
        if change:
            change(step)
        take = graphed(step, _warn) if config.graph and step.device.type == "cuda" else step
        if after is None:
            return take

        def both() -> None:
            take()
            after(step)

        return both

    def burst(seconds: float) -> float:
        nonlocal guess
        steps = max(4, round(seconds * guess / step.batch))
        ending = train(
            step.net,
            step.dataset,
            replace(config.recipe, iterations=steps, epochs=None),
            seed=config.seed,
            shift=config.data.shift,
            flip=config.data.flip,
            precision=step.precision,
            observer=trial.Nobody(),
            accelerate=accelerate,
        )
        guess = ending.images_per_second
        return guess

    return burst


def _by_steps(steps: Iterator[None], batch: int, device: torch.device) -> Burst:
    """Bursts of a loop that takes a step each time it is asked, after one that is not counted."""

    def burst(seconds: float) -> float:
        next(steps)
        trial.wait(device)
        began, count = time.perf_counter(), 0
        while count < 3 or time.perf_counter() - began < seconds:
            next(steps)
            count += 1
        trial.wait(device)
        return count * batch / (time.perf_counter() - began)

    return burst


def ten_lines(step: Step, config: Config) -> Iterator[None]:
    """What a step costs with nothing around it: no epochs, no observer, no books."""
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
    mark = 0.0

    def lap(name: str) -> None:
        nonlocal mark
        trial.wait(step.device)
        now = time.perf_counter()
        taken[name].append(1000 * (now - mark))
        mark = now

    for _ in range(times):
        step.index.zero_()
        trial.wait(step.device)
        mark = time.perf_counter()
        x, y = step.next_batch()
        lap("batch")
        logits = step.forward(x)
        lap("forward")
        loss = functional.cross_entropy(logits.float(), y)
        step.optimizer.zero_grad()
        lap("loss")
        loss.backward()
        lap("backward")
        step.optimizer.step()
        lap("SGD")
        step.note(loss, logits, y)
        lap("books")
    return {name: statistics.median(values) for name, values in taken.items()}


def _prepared(config: Config) -> Step:
    return trial.prepare(replace(config, graph=False), _warn)[0]


def _warn(sentence: str) -> None:
    say(f"ablate.bench: {sentence}", error=True)


def _evaluation(config: Config, step: Step, threads: int, rounds: int, stack: ExitStack) -> dict[str, Any]:
    """Images a second of evaluating the test set, in turns."""
    reference = stack.enter_context(BenchmarkProcess(_reference_evaluation, config, threads))
    x, y = step.dataset.test_x, step.dataset.test_y
    speeds: dict[str, list[float]] = {REFERENCE: [], HARNESS: []}
    for number in range(rounds + 1):
        taken = {
            REFERENCE: reference(0),
            HARNESS: _timed(lambda: evaluate(step.net, x, y, step.mean, step.precision)),
        }
        if number:
            for name, seconds in taken.items():
                speeds[name].append(len(y) / seconds)
    step.net.train()
    return {name: spread(values) for name, values in speeds.items()}


def _timed(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _channels_first(step: Step) -> None:
    step.net.to(memory_format=torch.contiguous_format)
    batch = step.next_batch

    def contiguous() -> tuple[Tensor, Tensor]:
        x, y = batch()
        return x.contiguous(), y

    step.next_batch = contiguous  # type: ignore[method-assign]


def _slow_sgd(step: Step) -> None:
    group = step.optimizer.param_groups[0]
    options = {key: group[key] for key in ("momentum", "weight_decay")}
    step.optimizer = torch.optim.SGD(step.net.parameters(), step.rate, foreach=False, **options)


def _by_loader(config: Config) -> Callable[[Step], None]:
    def batches(reference: Reference, step: Step) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            for x, y in reference.train:
                yield x.to(step.device).contiguous(memory_format=torch.channels_last), y.to(step.device)

    source: Iterator[tuple[Tensor, Tensor]] | None = None

    def change(step: Step) -> None:
        nonlocal source
        source = source or batches(Reference(config), step)
        step.next_batch = lambda: next(source)  # type: ignore[method-assign]

    return change


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def _ratios(speeds: dict[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Of each variant to `base`, round by round."""
    return {
        name: spread([value / of for value, of in zip(values, speeds[base], strict=True)])
        for name, values in speeds.items()
        if name != base
    }
