"""Wall time of two ways to do the same, by overrides and a number of rounds."""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import ablate
from ablate.base.errors import AblateError, ConfigError
from ablate.base.machine import cores
from ablate.base.process import Worker
from ablate.base.terminal import say
from ablate.bench.compare import HARNESS, REFERENCE, compare
from ablate.bench.reference import Reference
from ablate.config.compose import from_tree
from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.report.aggregate import cells
from ablate.report.predictions import read_wrong
from ablate.report.records import read, rows_of
from ablate.runs.reading import Run, read_runs
from ablate.training.loop import NullObserver
from ablate.training.setup import Setup


def grid(overrides: list[str], rounds: int) -> dict[str, Any]:
    """The grid `ablate -m OVERRIDES`, and the same runs one after another by the reference loop."""
    runs: list[Run] = []

    def harness() -> None:
        with TemporaryDirectory() as folder:
            carry_out("-m", *overrides, f"results={folder}")
            runs[:] = read_runs(Path(folder)).runs
        if {run.state for run in runs} != {"finished"}:
            raise AblateError("only finished runs can be compared: see what the grid printed above")

    def reference() -> None:
        for number, run in enumerate(runs, 1):
            say(f"  reference {number} of {len(runs)}: test error {train(from_tree(run.config)):.2f} %", error=True)

    with Worker(_reference, cores()) as train:
        table = compare(rounds, {HARNESS: harness, REFERENCE: reference}, HARNESS, warm_up=False)
    how = {key: sorted({run.result[key] for run in runs}) for key in ("precision", "threads", "runs_at_once")}
    return {"settings": {"runs": len(runs), **how}, "wall time": table}


FIXED = 10
"""Seeds of each row without seeds=auto, which then has as many at most."""


def verdict(overrides: list[str], rounds: int) -> dict[str, Any]:
    """Time to verdict: the grid `ablate -m OVERRIDES` with seeds=auto, and with ten fixed seeds."""
    fixed, auto = f"seed=range({FIXED})", "seeds=auto"
    runs: dict[str, int] = {}
    verdicts: dict[str, dict[str, str]] = {}

    def trained(word: str) -> None:
        with TemporaryDirectory() as folder:
            carry_out("-m", *overrides, word, f"results={folder}")
            found = read(folder).runs
            rows = cells(found, wrong=read_wrong(found)[0], most=FIXED if word == auto else None)
        runs[word] = len(found)
        verdicts[word] = {row.cell: row.verdict.partition(" with ")[0] for row in rows_of(rows[~rows.is_baseline])}

    table = compare(rounds, {word: partial(trained, word) for word in (fixed, auto)}, fixed, warm_up=False)
    alike = sum(verdict == verdicts[fixed].get(cell) for cell, verdict in verdicts[auto].items())
    same = {"rows with the same verdict": f"{alike} of {len(verdicts[auto])}"}
    return {"settings": {**{f"runs with {word}": n for word, n in runs.items()}, **same}, "wall time": table}


def _reference(threads: int) -> Callable[[Config], float]:
    torch.set_num_threads(threads)
    return lambda config: Reference(config).run()


def records(overrides: list[str], rounds: int) -> dict[str, Any]:
    """A run with its records and checkpoints, and bare training, in this process."""

    def bare() -> None:
        config = from_overrides(*overrides)
        torch.set_num_threads(config.threads or cores())
        Setup(config).start(warn=lambda sentence: None).train(NullObserver())

    def recorded() -> None:
        with TemporaryDirectory() as folder, redirect_stdout(StringIO()):
            ablate.run(*overrides, f"results={folder}")

    return {"wall time": compare(rounds, {"bare training": bare, "with records": recorded}, "bare training")}


def tracker(overrides: list[str], rounds: int) -> dict[str, Any]:
    """The command with tracker=wandb, offline, and with tracker=none."""

    def command(word: str) -> None:
        with TemporaryDirectory() as folder:
            carry_out(*overrides, word, f"results={folder}")

    base, other = "tracker=none", "tracker=wandb"
    return {"wall time": compare(rounds, {word: partial(command, word) for word in (base, other)}, base)}


def start(overrides: list[str], rounds: int, before: Path) -> dict[str, Any]:
    """The command of this checkout and of the one in the folder `before`: with `iterations=1`, what is not training."""

    def command(checkout: Path) -> None:
        with TemporaryDirectory() as folder:
            carry_out(*overrides, f"results={folder}", checkout=checkout)

    variants = {"before": partial(command, before), "now": partial(command, Path(ablate.__file__).parents[1])}
    return {"wall time": compare(rounds, variants, "before")}


def carry_out(*words: str, checkout: Path | None = None) -> None:
    """`python -m ablate WORDS`, in the folder `checkout`, whose package it is, if one is given."""
    environment = os.environ | {"WANDB_MODE": "offline"}
    command = [sys.executable, "-m", "ablate", *words]
    process = subprocess.Popen(command, env=environment, cwd=checkout, stdout=subprocess.DEVNULL)
    try:
        status = process.wait()
    except BaseException:
        process.terminate()  # not killed: a grid ends its own processes
        process.wait()
        raise
    if status:
        error = ConfigError if status == ConfigError.exit_status else AblateError
        raise error(f"the measured command failed: ablate {' '.join(words)}{f' in {checkout}' if checkout else ''}")
