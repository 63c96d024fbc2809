"""What probes=signal costs: training steps with it at its default interval, against steps without."""

import time
from functools import partial
from typing import Any

from ablate.bench.compare import compare
from ablate.config.resolve import from_overrides
from ablate.training.loop import measured
from ablate.training.setup import Setup, Training, wait


def probes(overrides: list[str], rounds: int) -> dict[str, Any]:
    """Images a second of both, over two intervals in each round."""
    bare = [word for word in overrides if not word.startswith("probe_every=")]
    config = from_overrides(*overrides, "probes=signal")
    runs = {"probes=none": Setup(from_overrides(*bare)), "probes=signal": Setup(config)}
    settings = {"batch": config.recipe.batch, "probe_every": config.probe_every, "steps": 2 * config.probe_every}
    variants = {name: partial(_speed, setup.start(warn=print), settings["steps"]) for name, setup in runs.items()}
    return {"settings": settings, "training": compare(rounds, variants, "probes=none", unit="images/s")}


def _speed(training: Training, steps: int) -> float:
    step, signal = training.step, training.signal
    began = time.perf_counter()
    for number in range(steps):
        epoch, index = divmod(number, step.batches.per_epoch)
        if index == 0:
            step.begin_epoch(epoch)
        # Numbers from the second interval on: the first has steps 1, 2, 4, ... too.
        if signal and signal.wants(at := number + 1 + signal.every):
            measured(at, step, training.take, signal)
        else:
            training.take()
    wait(step.device)
    return steps * step.batches.size / (time.perf_counter() - began)
