"""Images a second: the reference loop, the harness, and the harness with one of its measures off at a time.

Each variant has a network of its own. Those with DataLoader workers have a process of their own as well.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain, repeat
from typing import Any

import torch

from ablate.base.errors import AblateError
from ablate.base.machine import cores
from ablate.base.process import Worker
from ablate.base.terminal import say
from ablate.bench.compare import HARNESS, REFERENCE, compare
from ablate.bench.limits import limit
from ablate.bench.reference import Reference
from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.grid.packing import throughput
from ablate.training.device import pick_device
from ablate.training.setup import Setup, Training

Make = Callable[[Config], Any]
Steps = Callable[[Any], Iterator[None]]
Rate = Callable[[str, int], float]
"""Measures "training" or "evaluation", whose step or pass processes so many images, in images a second."""
Keep = Callable[[str, dict[str, Any]], None]
"""Takes what was found, by its title."""


def speed(
    overrides: list[str],
    rounds: int,
    seconds: float,
    keep: Keep = lambda title, content: None,
    compiled: bool | None = None,
) -> dict[str, Any]:
    """Training and evaluation, each variant for `seconds` in a round, and the limit of this machine.

    `keep` is given each of them as soon as it is measured. `compiled=True` measures the harness and its compiled
    variants alone, `compiled=False` all others: compiling takes minutes.
    """
    config = from_overrides(*overrides)
    config.threads = config.threads or cores()
    setup, batch = Setup(config), config.recipe.batch
    precision = str(setup.precision).removeprefix("torch.")
    found: dict[str, Any] = {"settings": {"batch": batch, "precision": precision, "threads": config.threads}}
    keep("settings", found["settings"])
    with ExitStack() as stack:
        rates, left_out = _without_failing(_variants(config, setup, seconds, stack, compiled), batch)
        if left_out:
            found["left out"] = left_out
            keep("left out", left_out)
        loops, test_images = [name for name in (REFERENCE, HARNESS) if name in rates], len(setup.dataset.test_y)
        # Evaluation does not depend on the other measures, but a compiled network is compiled for it as well.
        evaluated = [*rates] if compiled else loops
        for what, names, images in (("training", [*rates], batch), ("evaluation", evaluated, test_images)):
            variants = {name: partial(rates[name], what, images) for name in names}
            found[what] = compare(rounds, variants, *loops, unit="images/s")
            keep(what, found[what])
    torch.set_num_threads(config.threads)
    found["limit"] = limit(setup, found["training"][HARNESS]["images/s"]["median"])
    keep("limit", found["limit"])
    return found


def _variants(config: Config, setup: Setup, seconds: float, stack: ExitStack, compiled: bool | None) -> dict[str, Rate]:
    def rate(make: Make = _start, steps: Steps = Training.steps, *, process: bool = False, **changes: Any) -> Rate:
        arguments = seconds, replace(config, **changes), make, steps
        return stack.enter_context(Worker(_rate, *arguments)) if process else _rate(*arguments)

    other = "float32" if setup.precision != torch.float32 else "bfloat16"
    gpu = setup.device.type == "cuda"
    found = {HARNESS: rate()}
    if not compiled:
        found = {REFERENCE: rate(Reference, Reference.steps, process=True)} | found
        found[f"harness, {other}"] = rate(precision=other)
        found["harness, loss read at each step"] = rate(steps=_loss_read)
        found["harness, images from a DataLoader"] = rate(steps=_from_loader, process=True, graph=False)
        if gpu:
            found[f"harness, graph={not config.graph}".lower()] = rate(process=True, graph=not config.graph)
        elif config.threads != 1:
            found["harness, one thread"] = rate(threads=1)
    if compiled or (gpu and compiled is None):
        found[f"harness, compile={not config.compile}".lower()] = rate(process=True, compile=not config.compile)
        found["harness, graph and compile"] = rate(process=True, graph=True, compile=True)
        found[f"harness, {other}, graph and compile"] = rate(process=True, graph=True, compile=True, precision=other)
    return found


def _without_failing(rates: dict[str, Rate], batch: int) -> tuple[dict[str, Rate], dict[str, str]]:
    """The variants without those graphs and compiled units that fail, and why they do.

    They are in processes of their own: after a failed capture a process cannot train.
    """
    failed = {}
    for name in (name for name in rates if "graph" in name or "compile" in name):
        try:
            rates[name]("training", batch)
        except AblateError as error:
            failed[name] = str(error)
            say(f"  warning: {name} is left out: {error}", error=True)
    return {name: rate for name, rate in rates.items() if name not in failed}, failed


def _start(config: Config) -> Training:
    return Setup(config).start(warn=lambda sentence: say(f"  warning: {sentence}", error=True))


def _rate(seconds: float, config: Config, make: Make, steps: Steps) -> Rate:
    made, device = make(config), pick_device(config.device)
    actions: dict[str, Callable[[], object]] = {"training": partial(next, steps(made)), "evaluation": made.evaluate}

    def rate(what: str, images: int) -> float:
        torch.set_num_threads(config.threads or cores())
        return throughput(actions[what], images, device, seconds)

    return rate


def _loss_read(training: Training) -> Iterator[None]:
    for _ in training.steps():
        training.step.losses.sum().item()
        yield


def _from_loader(training: Training) -> Iterator[None]:
    device = training.step.device
    batches = chain.from_iterable(repeat(Reference(training.config).train))

    def following() -> tuple[torch.Tensor, torch.Tensor]:
        x, y = next(batches)
        return x.to(device, memory_format=torch.channels_last), y.to(device)

    training.step.batches.next = following  # type: ignore[method-assign]
    return training.steps()
