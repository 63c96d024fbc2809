"""A folder to submit from, with shortcuts of its own that take their time without taking the processor."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ablate.report import records, tables
from ablate.report.aggregate import cells
from ablate.runs.reading import TIMES

ROOT = Path(__file__).parents[2]
SLOW = """
import os, time
from torch import nn
from ablate.models.shortcuts import match_shape

class Slow(nn.Module):
    def __init__(self, in_channels, out_channels, stride, *, option="A"):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)

    def forward(self, x, residual):
        if self.training:
            time.sleep(float(os.environ.get("SLOW", "0")))
        return self.match(x) + residual

class Bad(Slow):
    steps = 0

    def forward(self, x, residual):
        self.steps += self.training
        if self.steps > 20:
            raise ValueError("this shortcut has had enough")
        return super().forward(x, residual)
"""
SHORTCUT = "name: {name}\n_target_: slow.{name}\noption: A\n"
EXPERIMENT = """# @package _global_
experiment: {name}
depth: 8
epochs: 12
threads: 1
checkpoint:
  steps: 20
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      seed: {seeds}
      shortcut: {shortcuts}
      shortcut.option: A, B
"""


class Site:
    """Where a person stands: `site("-m", "+experiment=drill")` is `python -m ablate -m +experiment=drill` there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        for group in ("shortcut", "experiment"):
            (folder / "my" / group).mkdir(parents=True)
        (folder / "slow.py").write_text(SLOW)
        for name in ("Slow", "Bad"):
            (folder / "my" / "shortcut" / f"{name.lower()}.yaml").write_text(SHORTCUT.format(name=name))

    @property
    def runs(self) -> Path:
        return self.folder / "results" / "runs"

    def experiment(self, name: str, *, seeds: str = "0", shortcuts: str = "slow") -> list[str]:
        """The words that ask for a grid of its own: options A and B for each seed and shortcut."""
        text = EXPERIMENT.format(name=name, seeds=seeds, shortcuts=shortcuts)
        (self.folder / "my" / "experiment" / f"{name}.yaml").write_text(text)
        return ["-m", "--config-dir", "my", f"+experiment={name}"]

    def start(self, *words: str, module: str = "ablate", **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __call__(self, *words: str, module: str = "ablate", status: int = 0, **environment: str) -> str:
        process = self.start(*words, module=module, **environment)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == status, said
        return said

    def states(self, name: str) -> dict[str, dict[str, object]]:
        """Every run of an experiment as status --json tells it, by 'option seed'."""
        said = json.loads(self("--experiment", name, "--json", module="ablate.status"))
        return {f"{'AB'['option=B' in run['shortcut']]} {run['seed']}": run for run in said["runs"]}

    def outcomes(self, name: str) -> dict[str, tuple[object, ...]]:
        """What every run of an experiment came to, to the last bit, and the table that is made of it."""
        found = records.read(self.runs, name).runs
        out: dict[str, tuple[object, ...]] = {}
        for run in records.every(found):
            path = run.path / "result.json"
            result = json.loads(path.read_text()) if path.exists() else {}
            lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
            metrics = [tuple(value for key, value in line.items() if key not in TIMES) for line in lines]
            out[run.folder] = (
                run.state,
                result.get("test_error"),
                result.get("weights_sha256"),
                result.get("reason"),
                *metrics,
            )
        table = tables.words(cells(found)).drop(columns=["seconds"])
        return {**out, "table": tuple(map(tuple, table.to_numpy().tolist()))}


def until(what: Callable[[], object], seconds: float, why: str) -> None:
    """Wait for something to hold; `why` says in the test's failure what did not."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {why}"
        time.sleep(0.3)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A place without SLURM."""
    return Site(tmp_path / "site", {})
