"""What SLURM is asked, in one place: each function is one of its commands, and says in a sentence what went wrong."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablate.base.errors import AblateError, ConfigError

PATIENCE = 60.0
"""Seconds: a controller that does not answer is given up by SLURM's own programs after about ten."""
MANY = 500
"""Tasks that are named in one call of scancel."""


@dataclass(frozen=True)
class Task:
    """A task of an array as squeue sees it. `state` is SLURM's word: PENDING, RUNNING, COMPLETING, ...

    `comment` is what the task was submitted with: the folder of its submission.
    """

    array: str
    index: int
    state: str
    reason: str
    node: str
    comment: str

    @property
    def name(self) -> str:
        """As scancel takes it."""
        return f"{self.array}_{self.index}"


def need(program: str) -> None:
    """Raise ConfigError where this machine has no SLURM."""
    if shutil.which(program) is None:
        raise ConfigError(
            f"{program} was not found, so this machine cannot submit to SLURM: use hydra/launcher=joblib here, or give "
            "the same command on a login node of the cluster"
        )


def here() -> bool:
    """Whether this machine can ask SLURM anything."""
    return shutil.which("squeue") is not None


def submit(arguments: list[str], script: Path) -> str:
    """The new array's id. Raises AblateError with what sbatch said."""
    said = _ask("sbatch", "--parsable", *arguments, str(script))
    return said.strip().partition(";")[0]  # in a federation: ID;CLUSTER


def queue(names: Iterable[str]) -> list[Task]:
    """Every task that is queued or running under one of these job names, whoever submitted it."""
    wanted = ",".join(sorted(set(names)))
    if not wanted:
        return []
    # The comment is last, because a path may hold any mark; a width would cut it.
    said = _ask("squeue", "--array", "--noheader", f"--name={wanted}", "--format=%F|%K|%T|%r|%N|%k")
    tasks = []
    for line in said.splitlines():
        array, index, state, reason, node, comment = line.split("|", 5)
        if index.isdigit():
            tasks.append(Task(array, int(index), state, reason, node, comment.strip()))
    return tasks


def last_states(arrays: Iterable[str]) -> dict[str, str]:
    """How tasks ended, by name, as the accounting has it; empty where there is none."""
    ids = ",".join(sorted(set(arrays)))
    if not ids or shutil.which("sacct") is None:
        return {}
    try:
        said = _ask("sacct", "-X", "--noheader", "--parsable2", f"--jobs={ids}", "--format=JobID,State")
    except AblateError:
        return {}
    return dict(line.split("|", 1) for line in said.splitlines() if "|" in line)


def largest_array() -> int:
    """Tasks that one array may have: its indices go from 0 to MaxArraySize - 1."""
    said = _ask("scontrol", "show", "config")
    for line in said.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "MaxArraySize" and value.strip().isdigit():
            return max(1, int(value))
    return 1001  # SLURM's default


def minutes(time: str) -> float:
    """A time as SLURM writes and takes it: M, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS. Raises ValueError."""
    days, dash, rest = time.rpartition("-")
    numbers = [int(part) for part in rest.split(":")]
    if len(numbers) > 3:
        raise ValueError(f"{time} is no time")
    if dash:
        hours, mins, secs = [*numbers, 0, 0][:3]
    else:
        hours, mins, secs = {1: [0, *numbers, 0], 2: [0, *numbers], 3: numbers}[len(numbers)]
    return 1440 * (int(days) if dash else 0) + 60 * hours + mins + secs / 60


def clock(job: str) -> tuple[float, float] | None:
    """Minutes that a job may run and has run since its last start, or None where it has no limit.

    By SLURM's own clock: a limit may be the partition's, and runs before the first line of a script does.
    """
    limit, _, used = _ask("squeue", "--noheader", f"--jobs={job}", "--format=%l|%M").strip().partition("|")
    try:
        return minutes(limit), minutes(used)
    except ValueError:  # UNLIMITED
        return None


def requeue(job: str) -> None:
    """Put a running task back into the queue, under the same name. Raises AblateError where it may not be."""
    _ask("scontrol", "requeue", job)


def cancel(tasks: list[Task]) -> None:
    """Every call is made, whatever one of them says. Raises AblateError afterwards where SLURM refused one."""
    refused: list[AblateError] = []
    for first in range(0, len(tasks), MANY):
        try:
            _ask("scancel", *(task.name for task in tasks[first : first + MANY]))
        except AblateError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, errors="replace")
    except FileNotFoundError as error:
        raise AblateError(f"{command[0]} was not found: is this machine part of a SLURM cluster?") from error
    except subprocess.TimeoutExpired as error:
        raise AblateError(f"{command[0]} gave no answer within {PATIENCE:.0f} s; try again later") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise AblateError(f"SLURM refused: {said.removeprefix(f'{command[0]}: error: ')} ({command[0]})")
    return done.stdout
