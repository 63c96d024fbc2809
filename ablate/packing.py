"""How many runs of a grid one device carries at once: by memory and by throughput, measured on the grid's own net.

A ResNet for CIFAR keeps neither a GPU nor many cores busy. `pack=auto` trains for seconds with 1, 2, 4, ... processes
side by side, as the grid will, and takes the number that gives the most images a second in all.

    python -m ablate -m +experiment=table1 pack=auto
"""

import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from typing import Any

from ablate.config import Config
from ablate.errors import AblateError, one_line
from ablate.runs.signature import cell
from ablate.runs.stopping import hear, unheard

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


class Failed(Exception):
    """A trial did not come to its end; the message says why."""


def trials(
    configs: list[Config], device: str | None, cores: int, stopped: Callable[[], bool] = lambda: False
) -> list[Trial]:
    """Trials of the grid's hungriest run on one device, from one at once on, as long as more fit and give more.

    `device` is a GPU's name for CUDA_VISIBLE_DEVICES, or None; `cores` are its share. Empty where `stopped` says so.
    Raises AblateError where not even one run can be tried.
    """
    hungriest = _hungriest(configs)
    done: list[Trial] = []
    for runs in _numbers(len(configs), device, cores):
        if done and not _fits(done[-1], runs):
            break
        try:
            trial = _try(hungriest, runs, device, hungriest.threads or max(1, cores // runs), stopped)
        except Failed as error:
            if stopped():  # what asked to stop may have reached the trial's processes as well
                return []
            if not done:
                raise AblateError(f"pack=auto: a trial of one run failed: {error}") from error
            break
        if stopped():
            return []
        done.append(trial)
        if len(done) > 1 and trial.images_per_second < done[-2].images_per_second:
            break
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


def _hungriest(configs: list[Config]) -> Config:
    """The one that keeps most for its backward pass; told in a process that may import torch."""
    deepest: dict[str, Config] = {}  # of those that differ in depth and seed alone
    for config in sorted(configs, key=lambda config: config.depth):
        deepest[cell({**asdict(config), "depth": 0})] = config
    found = list(deepest.values())
    if len(found) == 1:
        return found[0]
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=_listen_to_the_parent) as pool:
        with unheard():
            answers = pool.map(_kept, found)
        try:
            kept = list(answers)
        except BrokenProcessPool:  # the trial will say so
            return found[0]
    return max(zip(kept, found, strict=True), key=lambda pair: (pair[0], pair[1].precision == "float32"))[1]


def _kept(config: Config) -> int:
    """Bytes that autograd keeps of a batch's forward pass in float32; 0 for a net that cannot be had."""
    import torch

    from ablate.data.load import load
    from ablate.models import build

    kept = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.nbytes
        return tensor

    try:
        pictures = load(config.data)
        net = build(config, channels=pictures.channels, classes=len(pictures.classes))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            net(pictures.train_x[:2].float())
    except (Exception, SystemExit):  # the run itself will say so, and the others of its grid go on
        return 0
    return kept // 2 * config.recipe.batch


def _numbers(runs: int, device: str | None, cores: int) -> Iterator[int]:
    """1, 2, 4, ... up to the runs there are; without a GPU, up to the cores."""
    number = 1
    while number <= runs and (device is not None or number <= cores):
        yield number
        number *= 2


def _fits(before: Trial, runs: int) -> bool:
    return (runs - before.runs) * before.memory / before.runs <= SHARE * before.free


def _try(
    config: Config, runs: int, device: str | None, threads: int, stopped: Callable[[], bool] = lambda: False
) -> Trial:
    """Raises Failed where a process did, mostly for want of memory."""
    context = get_context("spawn")
    ready, answers = context.Barrier(runs), context.Queue()
    arguments = (config, device, threads, ready, answers)
    processes = [context.Process(target=_train, args=arguments, daemon=True) for _ in range(runs)]
    with unheard():
        for process in processes:
            process.start()
    found: list[tuple[float, int, int]] = []
    until = time.monotonic() + PATIENCE
    try:
        while len(found) < runs and not stopped():
            try:
                answer = answers.get(timeout=0.2)
            except queue.Empty:
                if any(process.exitcode not in (None, 0) for process in processes):
                    raise Failed("its process was killed, perhaps because memory ran out") from None
                if time.monotonic() > until:
                    raise Failed(f"it was not ready within {PATIENCE:.0f} s") from None
                continue
            if isinstance(answer, str):
                raise Failed(answer)
            found.append(answer)
    finally:
        for process in processes:
            process.terminate()
            process.join()
    if len(found) < runs:  # stopped
        return Trial(runs, 0.0, 0, 0)
    speeds, memories, free = zip(*found, strict=True)
    return Trial(runs, sum(speeds), sum(memories), min(free))


def _train(config: Config, device: str | None, threads: int, ready: Any, answers: Any) -> None:
    """Train `config` for a while as one of several, and say how fast, and what memory that takes and leaves."""
    _listen_to_the_parent()
    try:
        answers.put(_trained(config, device, threads, ready))
        ready.wait(PATIENCE)  # what is free is what all of them together leave
    except (Exception, SystemExit) as error:  # somebody's own code may end the process
        answers.put(one_line(error))


def _listen_to_the_parent() -> None:
    """Ctrl-C reaches every process of a terminal: the parent alone answers it, and ends this one; or is gone itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hear()
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _trained(config: Config, device: str | None, threads: int, ready: Any) -> tuple[float, int, int]:
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    import psutil
    import torch

    from ablate.terminal import say
    from ablate.training import trial
    from ablate.training.device import keep_memory
    from ablate.training.loop import evaluate

    keep_memory()
    torch.set_num_threads(threads)
    step, take = trial.prepare(config, lambda sentence: say(f"ablate: warning: {sentence}", error=True))
    steps = trial.steps(config, step, take)
    for _ in range(3):
        next(steps)
    evaluate(step.net, step.pictures.test_x, step.pictures.test_y, step.mean, step.precision)  # needs memory as well
    step.net.train()
    trial.wait(step.device)
    ready.wait(PATIENCE)
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
    return speed, memory, free
