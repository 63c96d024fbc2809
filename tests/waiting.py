"""Waiting for a condition on a busy machine, and a shortcut that waits until a test has disturbed its run."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT = 300.0
"""Seconds after which a wait has failed. Only for what hangs: nothing may depend on it."""

HOLDS = """
import os, time
from ablate.models.shortcuts import {base}

class Holds({base}):
    steps = 0

    def forward(self, x, residual):
        self.steps += self.training
        while self.steps >= {step} and os.path.exists("hold"):
            open("waits", "w").close()
            time.sleep(0.02)
        return super().forward(x, residual)
"""


def held(folder: Path, base: str, *, step: int) -> str:
    """The override for a shortcut that computes as `base` does, but waits at step `step` of each process.

    It waits while there is a file `hold`, which this makes in `folder`, and creates a file `waits`.
    """
    (folder / "own.py").write_text(HOLDS.format(base=base, step=step))
    (folder / "hold").touch()
    return "shortcut._target_=own.Holds"


def until(condition: Callable[[], object], process: Any = None, why: str = "") -> None:
    """Wait for a condition while `process`, a Popen or a Command, runs. Kills it if the condition does not come."""
    end = time.monotonic() + LIMIT
    while not condition():
        over = time.monotonic() > end
        if process and (over or (status := process.poll()) is not None):
            ended = f"within {LIMIT:.0f} s" if over else f"before the process ended with {status}"
            process.kill()
            raise AssertionError(f"not {ended}: {why}: {process.communicate()}")
        assert not over, f"not within {LIMIT:.0f} s: {why}"
        time.sleep(0.1)
