"""What checkpoints, records and heartbeats cost against bare training."""

import contextlib
import io
import statistics
import sys
import tempfile
import time
from typing import Any


def records(pairs: int, overrides: list[str]) -> dict[str, Any]:
    """A quickstart run with all that is kept of it against the same training with nothing kept, pair by pair."""
    import torch

    from ablate.config import Config, from_overrides
    from ablate.data.load import load
    from ablate.models import build
    from ablate.runs.progress import Progress
    from ablate.runs.run import run
    from ablate.training.loop import Evaluation, train

    class Nobody:
        def step(self, step: int) -> None: ...

        def evaluation(self, evaluation: Evaluation) -> None: ...

        def wants_checkpoint(self) -> bool:
            return False

        def checkpoint(self, state: dict[str, Any]) -> None: ...

    def settings(results: str) -> Config:
        words = ["depth=56", "threads=1", "device=cpu", f"results={results}", *overrides]
        return from_overrides(*words)

    def bare() -> None:
        config = settings("unused")
        pictures = load(config.data)
        net = build(config, channels=pictures.channels, classes=len(pictures.classes))
        net.to(memory_format=torch.channels_last)
        data = config.data
        train(
            net,
            pictures,
            config.recipe,
            seed=0,
            shift=data.shift,
            flip=data.flip,
            precision=torch.float32,
            observer=Nobody(),
        )

    def kept() -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            run(settings(folder), Progress())

    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {"bare": [], "kept": []}
    for number in range(pairs + 1):
        for name, what in (("bare", bare), ("kept", kept)):
            began = time.perf_counter()
            what()
            if number:  # the first pair warms up
                seconds[name].append(time.perf_counter() - began)
        print(f"pair {number} of {pairs}", file=sys.stderr, flush=True)
    ratios = [kept / bare for kept, bare in zip(seconds["kept"], seconds["bare"], strict=True)]
    return {
        "seconds, bare": _spread(seconds["bare"]),
        "seconds, kept": _spread(seconds["kept"]),
        "kept / bare, pair by pair": _spread(ratios),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}
