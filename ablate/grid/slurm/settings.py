"""The settings of `hydra/launcher=slurm`, and the sbatch command and the script that they give.

conf/hydra/launcher/slurm.yaml has their meanings and defaults.
"""

import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.base.errors import ConfigError
from ablate.config.schema import as_typed
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.submission import Submission

PASSED_ON = ("partition", "account", "qos", "time", "constraint")
"""Settings that are options of sbatch under the same name."""
TEXTS = ("partition", "account", "qos", "constraint", "memory", "python")
LISTS = ("options", "setup")
OWN = re.compile(r"--(array|comment|error|job-name|open-mode|output|parsable|signal|wrap)\b|-[aeJo]")
"""Options of sbatch that `sbatch_options` gives."""
LEAST = {
    **{"runs_per_task": 1, "side_by_side": 1, "max_timeouts": 0, "gpus": 0, "cpus": 1, "warning": 1, "at_once": 1},
    **{"nodes": 1, "processes": 1},
}
LONGEST = 14 * 24 * 60
"""Minutes: YAML reads 12:00:00 without quotes as the whole number 43200, so a larger one is a likely mistake."""

SCRIPT = """#!/bin/bash
# Task N of this array trains the runs in line N of tasks.jsonl. By hand, here or on a node: bash job.sh N
# Python handles SIGUSR1 later; until then it is ignored, or it would end the task for good.
trap '' USR1
cd {here} || exit 1
check() {{ [ "$1" = 0 ] || {{ echo "ablate: hydra.launcher.setup: status $1 of the command: $2"; exit 1; }}; }}
{setup}
"""
START = """exec {command} "$@"
"""
# A port of the job's own, and variables as torchrun sets them. srun passes SIGUSR1 on.
PROCESSES = """export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))
exec srun --nodes={nodes} --ntasks-per-node={processes} --cpus-per-task={cpus} --kill-on-bad-exit=1 bash -c '
  trap "" USR1
  export MASTER_ADDR=$SLURM_LAUNCH_NODE_IPADDR RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS
  export LOCAL_RANK=$SLURM_LOCALID LOCAL_WORLD_SIZE={processes} TORCH_CPP_LOG_LEVEL=${{TORCH_CPP_LOG_LEVEL:-ERROR}}
  exec "$@"' bash {command} "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Checked settings, made by `of`, which raises ConfigError for a value that is not allowed."""

    partition: str | None
    account: str | None
    qos: str | None
    time: str | int | None
    constraint: str | None
    nodes: int
    processes: int
    gpus: int
    cpus: int
    memory: str | None
    options: list[str]
    setup: list[str]
    python: str | None
    at_once: int | None
    runs_per_task: int
    side_by_side: int
    warning: int
    max_timeouts: int
    wait: bool

    @classmethod
    def of(cls, given: dict[str, Any]) -> "Settings":
        return cls(**{key: _typed(key, value) for key, value in given.items()})

    def __post_init__(self) -> None:
        for key, least in LEAST.items():
            value = getattr(self, key)
            if (type(value) is not int or value < least) and (key, value) != ("at_once", None):
                raise ConfigError(
                    f"hydra.launcher.{key} must be a whole number, {least} or more, not {as_typed(value)}"
                )
        if type(self.wait) is not bool:
            raise ConfigError(f"hydra.launcher.wait must be true or false, not {as_typed(self.wait)}")
        if self.group and self.side_by_side > 1:
            raise ConfigError(
                f"hydra.launcher.side_by_side={self.side_by_side} is for runs of one process each: leave it out with "
                "nodes or processes above 1"
            )
        if self.gpus and self.processes > self.gpus:
            raise ConfigError(
                f"hydra.launcher.processes={self.processes} on a node need a GPU each, and hydra.launcher.gpus is "
                f"{self.gpus}: give as many"
            )
        for option in self.options:
            if not option.startswith("-"):
                raise ConfigError(f"{option!r} in hydra.launcher.options is not an option: write it as --NAME=VALUE")
            if OWN.match(option):
                raise ConfigError(f"{option!r} in hydra.launcher.options is set by ablate itself: leave it out")
        limit = minutes(self.time)
        if limit is not None and self.warning >= 60 * limit:
            raise ConfigError(
                f"hydra.launcher.warning={self.warning} is not below the time limit of {60 * limit:.0f} s: give less, "
                "or a longer hydra.launcher.time"
            )

    @property
    def group(self) -> bool:
        """Whether several processes train a run together."""
        return self.nodes * self.processes > 1

    def sbatch_options(self, submission: Submission) -> list[str]:
        limit = f"%{self.at_once}" if self.at_once else ""
        return [
            f"--job-name={submission.job_name}",
            f"--comment={submission.folder}",
            f"--array=0-{len(submission.runs) - 1}{limit}",
            f"--output={str(submission.folder).replace('%', '%%')}/%a.log",
            "--open-mode=append",
            "--requeue",
            f"--signal=B:USR1@{self.warning}",
            f"--cpus-per-task={self.cpus}",
            *([f"--nodes={self.nodes}", f"--ntasks-per-node={self.processes}"] if self.group else []),
            *(f"--{key}={value}" for key in PASSED_ON if (value := getattr(self, key)) is not None),
            *([f"--mem={self.memory}"] if self.memory else []),
            *([f"--gres=gpu:{self.gpus}"] if self.gpus else []),
            *self.options,
        ]

    def script(self, submission: Submission) -> str:
        command = [
            self.python or shlex.quote(sys.executable),
            *("-m", "ablate.grid.slurm.task", shlex.quote(str(submission.folder))),
            f"--side-by-side={self.side_by_side}",
            f"--max-timeouts={self.max_timeouts}",
            f"--warning={self.warning}",
        ]
        setup = "\n".join(f"{line}\ncheck $? {shlex.quote(line)}" for line in self.setup)
        last = PROCESSES if self.group else START
        start = last.format(nodes=self.nodes, processes=self.processes, cpus=self.cpus, command=" ".join(command))
        return SCRIPT.format(here=shlex.quote(str(Path.cwd())), setup=setup) + start


def _typed(key: str, value: Any) -> Any:
    """A setting with the type that it must have: an account of digits is a number to YAML."""
    if key in TEXTS and value is not None:
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise ConfigError(f"hydra.launcher.{key}={value} is not a word")
        return str(value)
    if key in LISTS:
        if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
            raise ConfigError(f"hydra.launcher.{key}={value} is not a list of words: write it as {key}=['...','...']")
        return list(value)
    return value


def minutes(limit: str | int | None) -> float | None:
    """A time limit in minutes, from minutes or SLURM's notation. Raises ConfigError."""
    if limit is None:
        return None
    try:
        total = slurm.minutes(str(limit))
    except ValueError:
        total = 0
    if total <= 0:
        raise ConfigError(f"hydra.launcher.time={limit} is not a time limit: give minutes, 'HH:MM:SS' or 'D-HH:MM'")
    if isinstance(limit, int) and limit > LONGEST:
        raise ConfigError(
            f"hydra.launcher.time={limit} is {limit / 1440:.0f} days: quote it if HH:MM:SS was meant, which YAML reads "
            "as a number otherwise; if not, give D-HH"
        )
    return total
