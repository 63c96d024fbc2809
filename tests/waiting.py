"""Waiting for what must come, however busy the machine is, and runs that wait to be disturbed."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

LIMIT = 300.0
"""Seconds after which it is taken not to come. No promise of the code: what hangs meets it, and not what is slow."""

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
    """The override that asks for a shortcut in `folder`: it computes as `base` does, and waits at a process's step
    `step` while there is a file `hold`, which is made; then there is a file `waits`. So no run ends undisturbed.
    """
    (folder / "own.py").write_text(HOLDS.format(base=base, step=step))
    (folder / "hold").touch()
    return "shortcut._target_=own.Holds"


def until(condition: Callable[[], object], process: "subprocess.Popen[str] | None" = None, why: str = "") -> None:
    """Wait for something to hold while `process`, if one is given, goes on. One that waits in vain is killed."""
    end = time.monotonic() + LIMIT
    while not condition():
        over = time.monotonic() > end
        if process and (over or (status := process.poll()) is not None):
            ended = f"within {LIMIT:.0f} s" if over else f"before the process ended with {status}"
            process.kill()
            raise AssertionError(f"not {ended}: {why}: {process.communicate()}")
        assert not over, f"not within {LIMIT:.0f} s: {why}"
        time.sleep(0.2)
