"""What is kept of a run, and what shows it, against the same without: two ways taken in turns, pair by pair."""

import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from ablate.base.errors import AblateError, ConfigError

QUICKSTART = ("depth=56", "threads=1", "device=cpu")


def records(pairs: int, overrides: list[str]) -> dict[str, Any]:
    """A quickstart run with all that is kept of it against the same training with nothing kept, pair by pair."""
    import torch

    from ablate.base.machine import cores
    from ablate.config.resolve import from_overrides
    from ablate.config.schema import Config
    from ablate.runs.progress import Progress
    from ablate.runs.run import run
    from ablate.training.device import keep_memory
    from ablate.training.loop import train
    from ablate.training.setup import Nobody, prepare

    def settings(results: str) -> Config:
        return from_overrides(*QUICKSTART, f"results={results}", *overrides)

    def bare() -> None:
        config = settings("unused")
        torch.set_num_threads(config.threads or cores())
        step, _ = prepare(config, lambda sentence: None)
        train(
            step.net,
            step.dataset,
            config.recipe,
            seed=config.seed,
            shift=config.data.shift,
            flip=config.data.flip,
            precision=step.precision,
            observer=Nobody(),
        )

    def kept() -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            run(settings(folder), Progress())

    keep_memory()
    return _compare(pairs, bare=bare, kept=kept)


def tracker(pairs: int, overrides: list[str]) -> dict[str, Any]:
    """A quickstart run as a whole command, shown on W&B as it is without a network, against one that is not."""

    def command(name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            words = [*QUICKSTART, f"results={folder}", f"tracker={name}", *overrides]
            environment = os.environ | {"WANDB_MODE": "offline"}
            done = subprocess.run([sys.executable, "-m", "ablate", *words], env=environment, stdout=subprocess.DEVNULL)
        if done.returncode:
            kind = ConfigError if done.returncode == ConfigError.exit_status else AblateError
            raise kind(f"the command that was to be timed failed: ablate {' '.join([*QUICKSTART, *overrides])}")

    return _compare(pairs, none=lambda: command("none"), wandb=lambda: command("wandb"))


def _compare(pairs: int, **ways: Callable[[], None]) -> dict[str, Any]:
    """Seconds of two ways to do a thing, taken in turns, and of the second for each second of the first."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(pairs + 1):
        for name, do in ways.items():
            began = time.perf_counter()
            do()
            if number:  # the first pair warms up
                seconds[name].append(time.perf_counter() - began)
        print(f"pair {number} of {pairs}", file=sys.stderr, flush=True)
    one, other = ways
    ratios = [second / first for first, second in zip(seconds[one], seconds[other], strict=True)]
    return {
        **{f"seconds, {name}": _spread(values) for name, values in seconds.items()},
        f"{other} / {one}, pair by pair": _spread(ratios),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}
