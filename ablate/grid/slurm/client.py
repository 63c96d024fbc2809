"""SLURM's commands: each function runs one of them, and raises AblateError with one sentence if it fails."""

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ablate.base.errors import AblateError, ConfigError

TIMEOUT = 60.0
"""Seconds for one command; SLURM's own give up a controller that does not respond after about ten."""
CANCEL_AT_ONCE = 500
"""Tasks named in one call of scancel."""


class Unanswered(AblateError):
    """SLURM gave no answer, or none that can be read: it may have done what it was asked to do."""


@dataclass(frozen=True)
class Task:
    """A task of an array in squeue's output: `state` is PENDING, RUNNING, COMPLETING or another of SLURM's.

    `comment` is what it was submitted with, the folder of its submission, unless the site replaces comments.
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
    """Raise ConfigError if this machine has no SLURM."""
    if shutil.which(program) is None:
        raise ConfigError(
            f"{program} was not found, so this machine cannot submit to SLURM: use hydra/launcher=joblib here, or give "
            "the same command on a login node of the cluster"
        )


def here() -> bool:
    """Whether this machine has SLURM."""
    return shutil.which("squeue") is not None


def submit(arguments: list[str], script: Path) -> str:
    """Submit an array and return its id. Raises Unanswered if SLURM may have accepted it all the same."""
    answer = _run("sbatch", "--parsable", *arguments, str(script))
    ids = re.findall(r"^(\d+)(?:;\S+)?$", answer, re.MULTILINE)  # ID;CLUSTER in a federation; a site may add lines
    if len(ids) != 1:
        raise Unanswered(f"sbatch printed {answer.strip()!r} where one job id was expected")
    return str(ids[0])


def queue(names: Iterable[str]) -> list[Task]:
    """Every queued or running task with one of these job names, of any user."""
    wanted = ",".join(sorted(set(names)))
    if not wanted:
        return []
    # The comment is last, because a path may contain the separator; a width would cut it off.
    lines = _run("squeue", "--array", "--noheader", f"--name={wanted}", "--format=%F|%K|%T|%r|%N|%k").splitlines()
    fields = (re.fullmatch(r"(\d+)\|(\d+)\|(\w+)\|([^|]*)\|([^|]*)\|(.*)", line.strip()) for line in lines)
    tasks = (match.groups() for match in fields if match)  # other lines are jobs without tasks, or a site's own
    return [Task(array, int(index), *rest) for array, index, *rest in tasks]


def last_states(arrays: Iterable[str]) -> dict[str, str]:
    """How the tasks of these arrays ended, by task name; empty if the cluster has no accounting."""
    ids = ",".join(sorted(set(arrays)))
    if not ids or shutil.which("sacct") is None:
        return {}
    with contextlib.suppress(AblateError):
        output = _run("sacct", "-X", "--noheader", "--parsable2", f"--jobs={ids}", "--format=JobID,State")
        return dict(line.split("|", 1) for line in output.splitlines() if "|" in line)
    return {}


def largest_array() -> int:
    """Tasks that one array may have: its indices go from 0 to MaxArraySize - 1."""
    for line in _run("scontrol", "show", "config").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "MaxArraySize" and value.strip().isdigit():
            return max(1, int(value))
    return 1001  # SLURM's default


def minutes(time: str) -> float:
    """A duration in SLURM's notation: M, MM:SS, HH:MM:SS, D-HH, D-HH:MM or D-HH:MM:SS. Raises ValueError."""
    days, dash, rest = time.rpartition("-")
    numbers = [int(part) for part in rest.split(":")]
    if len(numbers) > 3:
        raise ValueError(f"{time} is not a duration")
    if dash:
        hours, mins, secs = [*numbers, 0, 0][:3]
    else:
        hours, mins, secs = {1: [0, *numbers, 0], 2: [0, *numbers], 3: numbers}[len(numbers)]
    return 1440 * (int(days) if dash else 0) + 60 * hours + mins + secs / 60


def time_limit(job: str) -> tuple[float, float] | None:
    """A running job's time limit and how long it has run, in minutes, or None if it has no limit.

    SLURM's own numbers: the limit may be the partition's, and its clock starts before the job's script.
    """
    *_, answer = ["", *_run("squeue", "--noheader", f"--jobs={job}", "--format=%l|%M").splitlines()]
    limit, _, used = answer.strip().partition("|")
    try:
        return minutes(limit), minutes(used)
    except ValueError:  # UNLIMITED
        return None


def requeue(job: str) -> None:
    """Put a running task back into the queue, under the same name."""
    _run("scontrol", "requeue", job)


def cancel(tasks: list[Task]) -> None:
    """Cancel tasks. If SLURM refuses some of them, the others are cancelled all the same before the error is raised."""
    refused: list[AblateError] = []
    for first in range(0, len(tasks), CANCEL_AT_ONCE):
        try:
            _run("scancel", *(task.name for task in tasks[first : first + CANCEL_AT_ONCE]))
        except AblateError as error:
            refused.append(error)
    if refused:
        raise refused[0]


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, errors="replace")
    except FileNotFoundError as error:
        raise AblateError(f"{command[0]} was not found: is this machine part of a SLURM cluster?") from error
    except subprocess.TimeoutExpired as error:
        raise Unanswered(f"{command[0]} gave no answer within {TIMEOUT:.0f} s; try again later") from error
    if done.returncode:
        message = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        kind = Unanswered if "timed out" in message else AblateError
        raise kind(f"SLURM refused: {message.removeprefix(f'{command[0]}: error: ')} ({command[0]})")
    return done.stdout
