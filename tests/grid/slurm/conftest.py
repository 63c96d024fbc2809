"""A folder to submit from, with shortcuts of its own that take their time without taking the processor."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.report import records, tables
from ablate.report.aggregate import cells
from ablate.runs.reading import TIMES
from tests.waiting import LIMIT

ROOT = Path(__file__).parents[2]
SLOW = """
import os, time
from torch import nn
from ablate.models.shortcuts import match_shape

class Slow(nn.Module):
    steps = 0

    def __init__(self, in_channels, out_channels, stride, *, option="A"):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        print("device", os.environ.get("CUDA_VISIBLE_DEVICES"), "for", os.getpid(), flush=True)

    def forward(self, x, residual):
        self.steps += self.training
        if self.training and self.steps > 20 and not os.path.exists("go"):  # past its first checkpoint
            time.sleep(float(os.environ.get("SLOW", "0")))
        return self.match(x) + residual

class Bad(Slow):
    def forward(self, x, residual):
        if self.training and self.steps == 20:
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

PROGRAM = """#!{python}
import json, os, sys
here = os.path.dirname(os.path.abspath(__file__))
name = os.path.basename(__file__)
with open(os.path.join(here, "calls.jsonl"), "a") as file:
    file.write(json.dumps([name, *sys.argv[1:]]) + chr(10))
try:
    answer = open(os.path.join(here, name + ".answer")).read()
except FileNotFoundError:
    sys.exit(0)
status, _, text = answer.partition(chr(10))
(sys.stderr if int(status) else sys.stdout).write(text)
sys.exit(int(status))
"""


class Site:
    """Where a person stands: `site("-m", "+experiment=drill")` is `ablate -m +experiment=drill` there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        self.started: list[subprocess.Popen[str]] = []
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
        process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def go(self) -> None:
        """From here on no run takes its time."""
        (self.folder / "go").touch()

    def leave(self) -> None:
        """Nothing that was started here outlives a test that has failed."""
        for process in self.started:
            process.kill()

    def __call__(self, *words: str, module: str = "ablate", status: int = 0, **environment: str) -> str:
        process = self.start(*words, module=module, **environment)
        said, _ = process.communicate(timeout=LIMIT)
        assert process.returncode == status, said
        return said

    def states(self, name: str) -> dict[str, dict[str, object]]:
        """Every run of an experiment as status --json tells it, by 'option seed'."""
        said = json.loads(self("--experiment", name, "--json", module="ablate", "status"))
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


class Stand:
    """Stand-ins for SLURM's programs: `stand.answers("squeue", "...")`, `stand.calls("sbatch")`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("sbatch", "squeue", "scontrol", "scancel"):
            self.program(name)
        self.answers("sbatch", "77\n")
        self.answers("scontrol", "MaxArraySize            = 1001\n")

    def program(self, name: str) -> None:
        (self.folder / name).write_text(PROGRAM.format(python=sys.executable))
        (self.folder / name).chmod(0o755)

    def answers(self, name: str, text: str, status: int = 0) -> None:
        (self.folder / f"{name}.answer").write_text(f"{status}\n{text}")

    def calls(self, name: str) -> list[list[str]]:
        try:
            lines = (self.folder / "calls.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [words[1:] for words in map(json.loads, lines) if words[0] == name]


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    stand = Stand(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{stand.folder}:{os.environ['PATH']}")
    return stand


@pytest.fixture
def site(tmp_path: Path, stand: Stand) -> Iterator[Site]:
    """A place where SLURM's programs are the stand-ins."""
    site = Site(tmp_path / "site", {})
    yield site
    site.leave()
