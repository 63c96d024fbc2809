"""What activation checkpointing saves and costs: memory, and images a second."""

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ablate.base.machine import cores
from ablate.base.process import Worker
from ablate.bench.compare import compare
from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.grid.packing import trainer
from ablate.training.setup import Setup


def memory(overrides: list[str], rounds: int, seconds: float) -> dict[str, Any]:
    """Training with and without, in processes that take turns, each for `seconds` in a round.

    A process keeps its memory (`keep_memory`), so what it has after its steps is the most that they needed.
    """
    config = from_overrides(*overrides)
    threads = config.threads or cores()
    variants = {
        f"activation_checkpointing={value}".lower(): replace(config, activation_checkpointing=value)
        for value in (False, True)
    }
    base = next(iter(variants))
    settings = {"batch": config.recipe.batch, "precision": config.precision, "threads": threads}
    found: dict[str, Any] = {"settings": settings}
    kept = {name: partial(kept_megabytes, one) for name, one in variants.items()}
    found["kept for the backward pass"] = compare(1, kept, base, unit="MB", warm_up=False)
    with ExitStack() as stack:
        trainers = {name: stack.enter_context(Worker(trainer, one, None, threads)) for name, one in variants.items()}
        speeds = {name: partial(_speed, one, seconds) for name, one in trainers.items()}
        found["training"] = compare(rounds, speeds, base, unit="images/s")
        taken = {name: partial(_megabytes, one) for name, one in trainers.items()}
        found["memory of the process"] = compare(1, taken, base, unit="MB", warm_up=False)
    return found


def kept_megabytes(config: Config) -> float:
    """What the first step's forward pass keeps for its backward pass, besides the parameters."""
    training = Setup(config).start(warn=lambda sentence: None)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in training.network.parameters()}
    kept: dict[int, int] = {}  # tensors may share memory

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        next(training.steps())
    return sum(kept.values()) / 1e6


def _speed(train: Worker, seconds: float) -> float:
    return float(train(seconds)[0])


def _megabytes(train: Worker) -> float:
    return float(train(0.0)[1]) / 1e6
