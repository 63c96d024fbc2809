"""Images a second of a run by the number of its threads, on an idle machine and beside busy processes."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ablate.base.machine import cores
from ablate.bench.compare import compare
from ablate.bench.wall_time import carry_out
from ablate.runs.reading import read_runs

DEFAULT = "default"


def threads(overrides: list[str], rounds: int) -> dict[str, Any]:
    """One thread, all cores, and the number that the run chooses itself, beside 0 and beside as many processes as
    there are cores."""
    return {f"beside {busy} busy processes": _table(overrides, rounds, busy) for busy in (0, cores())}


def _table(overrides: list[str], rounds: int, busy: int) -> dict[str, Any]:
    choices = {DEFAULT: [], **{f"threads={count}": [f"threads={count}"] for count in (1, cores())}}
    with _busy(busy):
        variants = {name: partial(_speed, [*overrides, *words]) for name, words in choices.items()}
        return compare(rounds, variants, DEFAULT, unit="images/s", warm_up=False)


def _speed(words: list[str]) -> float:
    with TemporaryDirectory() as folder:
        carry_out(*words, f"results={folder}")
        (run,) = read_runs(Path(folder)).runs
        return float(run.result["images_per_second"])


@contextmanager
def _busy(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
