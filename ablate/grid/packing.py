"""How many runs of a grid share one device: doubled until the throughput stops rising.

A ResNet for CIFAR keeps neither a GPU nor many cores busy. `pack=auto` trains the grid's deepest network for seconds
with 1, 2, 4, ... processes at once, as the grid will, and takes the number with the most images a second in all.

    ablate -m +experiment=table1 pack=auto
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ablate.base.errors import AblateError
from ablate.base.process import Worker
from ablate.config.schema import Config
from ablate.runs.record import Record

if TYPE_CHECKING:  # the grid's own process does not need torch
    import torch

SECONDS = 2.0
"""Of training that a trial measures, after its processes have warmed up."""
WORTH = 1.03
"""More runs at once are taken only for this much more throughput."""
SHARE = 0.8
"""Of the free memory, which more runs may fill."""
CONTEXT = 2**29
"""Bytes that a process takes of a GPU besides its tensors, roughly."""


@dataclass(frozen=True)
class Trial:
    """`runs` at once gave so many images a second in all; in bytes, the memory they used and left free together."""

    runs: int
    images_per_second: float
    memory: int
    free: int


def trials(
    records: list[Record],
    device: str | None,
    cores: int,
    stopped: Callable[[], bool] = lambda: False,
    tried: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Trials on one device from one run at a time on, as long as more fit and give more. Empty if `stopped`.

    `device` is a GPU's name for CUDA_VISIBLE_DEVICES, or None; `cores` are its share. `tried` is called after each
    trial. Raises AblateError if not even one run can be tried.
    """
    config = max((record.config for record in records), key=lambda config: (config.depth, config.recipe.batch))
    most = len(records) if device is not None else min(len(records), cores)
    done: list[Trial] = []
    runs = 1
    while runs <= most and (not done or done[-1].memory <= SHARE * done[-1].free):  # as much memory again
        try:
            trial = _try(config, runs, device, config.threads or max(1, cores // runs), stopped)
        except AblateError as error:
            if stopped():  # the signal may have reached the trial's processes as well
                return []
            if not done:
                raise AblateError(f"pack=auto: a trial of one run failed: {error}") from error
            break
        done.append(trial)
        tried(trial)
        if len(done) > 1 and trial.images_per_second < WORTH * done[-2].images_per_second:
            break
        runs *= 2
    return done


def best(done: list[Trial]) -> Trial:
    """The fewest runs at once with as much throughput as any."""
    most = max(trial.images_per_second for trial in done)
    return next(trial for trial in done if trial.images_per_second * WORTH >= most)


def describe(done: list[Trial]) -> str:
    """What was tried, and what was chosen."""
    chosen = best(done)
    tried = ", ".join(f"{trial.images_per_second:,.0f} with {trial.runs}" for trial in done)
    each = chosen.memory / chosen.runs / 2**30
    return f"pack=auto: {chosen.runs} at once; images a second in all: {tried}; {each:.1f} GiB each"


def _try(
    config: Config, runs: int, device: str | None, threads: int, stopped: Callable[[], bool] = lambda: False
) -> Trial:
    """Raises AblateError if `stopped`, or if a process fails, usually because memory runs out."""
    with ExitStack() as stack:
        workers = []
        for _ in range(runs):
            workers.append(Worker(trainer, config, device, threads))
            stack.callback(workers[-1].kill)
        for seconds in (0.0, SECONDS):  # all have warmed up before any is measured
            for worker in workers:
                worker.send(seconds)
            results = [worker.result(stopped) for worker in workers]
            if stopped():
                raise AblateError("stopped by a signal")
    speeds, memories, free = zip(*results, strict=True)
    return Trial(runs, sum(speeds), sum(memories), min(free))


def trainer(config: Config, device: str | None, threads: int) -> Callable[[float], tuple[float, int, int]]:
    """Set up training in this process; called with seconds, gives images a second, and the memory taken and left."""
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    import psutil
    import torch

    from ablate.training.setup import Setup

    torch.set_num_threads(threads)
    training = Setup(config).start(warn=lambda sentence: None)  # the run itself will warn
    training.evaluate(lambda: None)  # takes memory too
    step, steps = training.step, training.steps()

    def train(seconds: float) -> tuple[float, int, int]:
        speed = throughput(partial(next, steps), step.batches.size, step.device, seconds)
        if step.device.type == "cuda":
            return speed, torch.cuda.max_memory_reserved() + CONTEXT, torch.cuda.mem_get_info()[0]
        return speed, psutil.Process().memory_info().rss, psutil.virtual_memory().available

    return train


def throughput(step: Callable[[], object], images: int, device: "torch.device", seconds: float) -> float:
    """Images a second of repeating `step`, which processes so many images, for `seconds`; at least three times."""
    from ablate.training.setup import wait

    wait(device)
    began, count = time.perf_counter(), 0
    while count < 3 or time.perf_counter() - began < seconds:
        step()
        count += 1
        if count % 50 == 0:
            wait(device)  # a GPU's queue can hold seconds of work
    wait(device)
    return count * images / (time.perf_counter() - began)
