"""A folder to submit from, with shortcuts that take time without taking the processor, and stand-ins for SLURM."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.grid.slurm.submission import Submission, read_submissions
from ablate.runs.reading import TIMES, read_runs
from tests.forked import Command
from tests.grid.slurm.slurm_cluster import Cluster
from tests.waiting import until

ROOT = Path(__file__).parents[3]
INTERVAL = 0.5
"""Seconds between checks of a locked run, instead of 5."""
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
        if self.training and self.steps > 20 and not os.path.exists("go"):  # after its first checkpoint
            time.sleep(float(os.environ.get("SLOW", "0")))
        return self.match(x) + residual

class Bad(Slow):
    def forward(self, x, residual):
        if self.training and self.steps == 20:
            raise ValueError("this shortcut fails")
        return super().forward(x, residual)
"""
SHORTCUT = "name: {name}\n_target_: slow.{name}\noption: A\n"
EXPERIMENT = """# @package _global_
experiment: {name}
depth: 8
epochs: 6
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

PROGRAM = """#!{python} -S
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
    """A user's working folder: `site("-m", "+experiment=drill")` is `ablate -m +experiment=drill` there."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, {"PYTHONPATH": str(ROOT), **environment}
        self.started: list[Command] = []
        for group in ("shortcut", "experiment", "cluster"):
            (folder / "my" / group).mkdir(parents=True)
        (folder / "slow.py").write_text(SLOW)
        for name in ("Slow", "Bad"):
            (folder / "my" / "shortcut" / f"{name.lower()}.yaml").write_text(SHORTCUT.format(name=name))

    @property
    def runs(self) -> Path:
        return self.folder / "results" / "runs"

    def experiment(self, name: str = "drill", *, seeds: str = "0", shortcuts: str = "slow") -> list[str]:
        """The words that ask for a grid: options A and B for each seed and shortcut."""
        text = EXPERIMENT.format(name=name, seeds=seeds, shortcuts=shortcuts)
        (self.folder / "my" / "experiment" / f"{name}.yaml").write_text(text)
        return ["-m", "--config-dir", "my", f"+experiment={name}"]

    def start(self, *words: str, entry: str = "ablate.__main__.script", **environment: str) -> Command:
        command = Command(
            *words,
            cwd=self.folder,
            environment={**self.environment, **environment},
            entry=entry,
            replaced={"ablate.grid.slurm.task.INTERVAL": "tests.grid.slurm.conftest.INTERVAL"},
        )
        self.started.append(command)
        return command

    def __call__(self, *words: str, status: int = 0, **environment: str) -> str:
        return finish(self.start(*words, **environment), status)

    def task(self, submission: Submission, index: int = 0, *, job: str | None = "77", **environment: str) -> Command:
        """Start a task as its job.sh does, in a SLURM job or with job=None by hand."""
        last = shlex.split((submission.folder / "job.sh").read_text().splitlines()[-1])
        assert (last[0], last[2:4], last[-1]) == ("exec", ["-m", "ablate.grid.slurm.task"], "$@")
        environment |= {"SLURM_JOB_ID": job} if job else {}
        return self.start(*last[4:-1], str(index), entry="ablate.grid.slurm.task.main", **environment)

    def run(self, *command: str) -> str:
        """What one of SLURM's programs prints."""
        environment = {**os.environ, **self.environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def wait_for_end(self, name: str = "*") -> None:
        """Until SLURM has no task of an experiment, or none at all."""
        names = [] if name == "*" else [f"--name=ablate-{name}"]
        until(lambda: not self.run("squeue", "--noheader", *names), why="an empty queue")

    def submission(self) -> Submission:
        """The only one."""
        (found,) = read_submissions(self.runs)
        return found

    def go(self) -> None:
        """From here on runs do not wait any more."""
        (self.folder / "go").touch()

    def kill_all(self) -> None:
        for command in self.started:
            command.kill()

    def states(self, name: str = "drill") -> dict[str, dict[str, object]]:
        """The runs of an experiment as in status --json, by 'option seed'."""
        found = json.loads(self("status", "--experiment", name, "--json"))
        return {f"{'AB'['option=B' in run['shortcut']]} {run['seed']}": run for run in found["runs"]}

    def outcomes(self, name: str = "drill") -> dict[str, tuple[object, ...]]:
        """The results of an experiment to the last bit, by folder name."""
        out: dict[str, tuple[object, ...]] = {}
        for run in read_runs(self.runs, name).runs:
            lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
            metrics = (tuple(value for key, value in line.items() if key not in TIMES) for line in lines)
            numbers = (run.result.get(key) for key in ("test_error", "weights_sha256", "reason"))
            out[run.folder.name] = (run.state, *numbers, *metrics)
        return out


def finish(command: Command, status: int = 0) -> str:
    """What a command prints until its end, which must have this exit status."""
    said = "".join(command.communicate())
    assert command.returncode == status, said
    return said


class StandIns:
    """Programs in place of SLURM's: `slurm.answers("squeue", "...")`, `slurm.calls("sbatch")`."""

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

    def queue(self, *tasks: tuple[Submission, int, str, str]) -> None:
        """Set squeue's answer: of each task its submission, index, state and reason."""
        lines = (f"{one.array or 77}|{at}|{state}|{why}|n1|{one.folder}\n" for one, at, state, why in tasks)
        self.answers("squeue", "".join(lines))

    def calls(self, name: str) -> list[list[str]]:
        try:
            lines = (self.folder / "calls.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [words[1:] for words in map(json.loads, lines) if words[0] == name]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIns:
    """The stand-ins, on this process's PATH."""
    programs = StandIns(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{programs.folder}:{os.environ['PATH']}")
    return programs


@pytest.fixture
def site(tmp_path: Path, slurm: StandIns) -> Iterator[Site]:
    """A folder where SLURM's programs are the stand-ins."""
    site = Site(tmp_path / "site", {"PATH": os.environ["PATH"]})
    yield site
    site.kill_all()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A real SLURM whose largest array has 4 tasks."""
    # The path of a socket must be short, and pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="ablate-slurm-") as folder, Cluster(Path(folder), 4) as running:
        yield running


@pytest.fixture
def cluster_site(cluster: Cluster, tmp_path: Path) -> Iterator[Site]:
    """A folder on the real cluster. Runs wait after their first checkpoint until `go`; leftover tasks are cancelled."""
    site = Site(tmp_path / "site", {**cluster.environment, "SLOW": "1"})
    yield site
    site.kill_all()
    site.run("scancel", "--user", str(os.getuid()))
    site.wait_for_end()


def unwrapped(text: str) -> str:
    """A table's text without its borders and line breaks."""
    return re.sub(r"\s+", " ", re.sub(r"[│┃]", " ", text))
