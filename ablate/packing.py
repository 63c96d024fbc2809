"""How many runs of a grid one device carries at once: by memory and by throughput, measured on the grid's own net.

A ResNet for CIFAR keeps neither a GPU nor many cores busy. `pack=auto` trains for seconds with 1, 2, 4, ... processes
side by side, as the grid will, and takes the number that gives the most images a second in all.

    python -m ablate -m +experiment=table1 pack=auto
"""

import os
import queue
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from ablate.config import Config
from ablate.errors import AblateError

SECONDS = 2.0
"""Of training that a trial counts, once its processes have all warmed up."""
WORTH = 1.03
"""More runs at once are taken only for this much more throughput."""
SHARE = 0.8
"""Of the free memory, that more runs may fill."""
CONTEXT = 2**29
"""Bytes that a process takes of a GPU beside its tensors, about."""
PATIENCE = 300.0
"""Seconds for a trial: a first compilation counts."""


@dataclass(frozen=True)
class Trial:
    """So many `runs` at once gave so many images a second in all; in bytes, what they took together and left free."""

    runs: int
    images_per_second: float
    memory: int
    free: int


def trials(configs: list[Config], device: str | None, cores: int) -> list[Trial]:
    """Trials on one device, from one run on, as long as more runs fit and give more.

    `device` is a GPU's name for CUDA_VISIBLE_DEVICES, or None. Raises AblateError where not even one run can be tried.
    """
    deepest = max(configs, key=lambda config: config.depth)
    done: list[Trial] = []
    for runs in _numbers(len(configs), device, cores):
        if done and not _fits(done[-1], runs):
            break
        trial = _try(deepest, runs, device, deepest.threads or max(1, cores // runs))
        if trial is None or (done and trial.images_per_second < done[-1].images_per_second):
            break
        done.append(trial)
    if not done:
        raise AblateError("pack=auto: a trial of one run failed: train one of the grid by itself to see why")
    return done


def best(done: list[Trial]) -> Trial:
    """The fewest runs at once that give as much as any."""
    most = max(trial.images_per_second for trial in done)
    return next(trial for trial in done if trial.images_per_second * WORTH >= most)


def describe(done: list[Trial]) -> str:
    """What was tried, and what is taken."""
    taken = best(done)
    tried = ", ".join(f"{trial.images_per_second:,.0f} with {trial.runs}" for trial in done)
    each = taken.memory / taken.runs / 2**30
    return f"pack=auto: {taken.runs} at once; images a second in all: {tried}; {each:.1f} GiB each"


def _numbers(runs: int, device: str | None, cores: int) -> Iterator[int]:
    """1, 2, 4, ... up to the runs there are; without a GPU, up to the cores."""
    number = 1
    while number <= runs and (device is not None or number <= cores):
        yield number
        number *= 2


def _fits(before: Trial, runs: int) -> bool:
    return (runs - before.runs) * before.memory / before.runs <= SHARE * before.free


def _try(config: Config, runs: int, device: str | None, threads: int) -> Trial | None:
    """None where a process failed, mostly for want of memory."""
    context = get_context("spawn")
    ready, answers = context.Barrier(runs), context.Queue()
    arguments = (config, device, threads, ready, answers)
    processes = [context.Process(target=_train, args=arguments, daemon=True) for _ in range(runs)]
    for process in processes:
        process.start()
    found: list[tuple[float, int, int]] = []
    until = time.monotonic() + PATIENCE
    try:
        while len(found) < runs and time.monotonic() < until:
            try:
                found.append(answers.get(timeout=0.2))
            except queue.Empty:
                if any(process.exitcode not in (None, 0) for process in processes):
                    break
    finally:
        for process in processes:
            process.terminate()
            process.join()
    if len(found) < runs:
        return None
    speeds, memories, free = zip(*found, strict=True)
    return Trial(runs, sum(speeds), sum(memories), min(free))


def _train(config: Config, device: str | None, threads: int, ready: Any, answers: Any) -> None:
    """Train `config` for a while as one of several, and say how fast, and what memory that takes and leaves."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends a trial
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    import psutil
    import torch

    from ablate.terminal import say
    from ablate.training import trial

    torch.set_num_threads(threads)
    step, take = trial.prepare(config, lambda sentence: say(f"ablate: warning: {sentence}", error=True))
    steps = trial.steps(config, step, take)
    for _ in range(3):
        next(steps)
    trial.wait(step.device)
    ready.wait()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < SECONDS:
        for _ in range(4 if step.device.type == "cpu" else 50):  # a GPU is behind: it is waited for now and then
            next(steps)
            count += 1
        trial.wait(step.device)
    speed = count * step.batch / (time.perf_counter() - began)
    if step.device.type == "cuda":
        memory, free = torch.cuda.max_memory_reserved() + CONTEXT, torch.cuda.mem_get_info()[0]
    else:
        memory, free = psutil.Process().memory_info().rss, psutil.virtual_memory().available
    answers.put((speed, memory, free))
    ready.wait()  # what is free is what all of them together leave
