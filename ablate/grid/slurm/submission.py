"""A submission on disk, results/runs/_jobs/EXPERIMENT/WHEN/: which task trains which runs, and what it says.

| file | content |
|---|---|
| plan.json | the runs' folders task by task, where each task's line begins, the array's id once there is one, |
| | when (UTC) and by what command it was submitted |
| tasks.jsonl | a line a task: its runs' configurations |
| job.sh | what SLURM starts |
| N.log | what task N said, all its sessions |
| N.timeouts | when task N has reached its time limit, a line each time |
| N.end | why task N has given up, where it has |

Two files hold all tasks: a thousand nodes read a few kilobytes each, and ten thousand runs make no ten thousand files.
"""

import contextlib
import hashlib
import json
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError
from ablate.base.files import write_whole
from ablate.runs.identity import SCHEMA
from ablate.runs.layout import JOBS
from ablate.runs.record import Record

NAMELESS = "grid"


@dataclass(frozen=True)
class Submission:
    """One array. `runs`: for each task the folder names of its runs; `array` is None until SLURM has accepted it."""

    folder: Path
    runs: list[list[str]]
    array: str | None = None

    @property
    def experiment(self) -> str:
        return self.folder.parent.name

    @property
    def job_name(self) -> str:
        return job_name(self.experiment)

    def log(self, index: int) -> Path:
        return self.folder / f"{index}.log"

    def given_up(self, index: int) -> str | None:
        """Why a task ended with unfinished runs, or None."""
        try:
            return (self.folder / f"{index}.end").read_text().strip()
        except OSError:
            return None


def safe(experiment: str | None) -> str:
    """An experiment's name as the name of a folder and a job; different names stay different."""
    if not experiment:
        return NAMELESS
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", experiment)[:60]
    if plain == experiment != NAMELESS:
        return plain
    return f"{plain}-{hashlib.sha256(experiment.encode()).hexdigest()[:8]}"


def job_name(experiment: str) -> str:
    return f"ablate-{experiment}"


def create(tasks: list[list[Record]]) -> Submission:
    """Write down which task trains which runs. Raises AblateError if the disk refuses."""
    first = tasks[0][0].config
    when = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = Path(first.results) / JOBS / safe(first.experiment) / when
    lines = [json.dumps([record.tree for record in task]).encode() + b"\n" for task in tasks]
    names = [[record.name for record in task] for task in tasks]
    offsets = [0]
    for line in lines[:-1]:
        offsets.append(offsets[-1] + len(line))
    try:
        folder.mkdir(parents=True)
        write_whole(folder / "tasks.jsonl", b"".join(lines))
    except OSError as error:
        raise AblateError(f"{folder} cannot be written: {error.strerror}; use results=FOLDER") from error
    now = datetime.now(UTC).isoformat(timespec="seconds")
    plan = {"schema": SCHEMA, "when": now, "argv": sys.argv, "array": None, "offsets": offsets, "runs": names}
    _save(folder, plan)
    return Submission(folder.resolve(), names)


def submitted(submission: Submission, array: str) -> Submission:
    """The submission with the id that SLURM gave it, written down."""
    plan = json.loads((submission.folder / "plan.json").read_bytes())
    _save(submission.folder, plan | {"array": array})
    return replace(submission, array=array)


def discard(submission: Submission) -> None:
    """Remove a submission that SLURM refused."""
    shutil.rmtree(submission.folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # the experiment has others
        submission.folder.parent.rmdir()


def task(folder: Path, index: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The plan, and the configurations of the runs of task `index`.

    Raises AblateError if there is no such task.
    """
    try:
        plan = json.loads((folder / "plan.json").read_bytes())
        if plan["schema"] != SCHEMA:
            raise AblateError(f"{folder} was submitted by another version of this package: submit the grid again")
        with open(folder / "tasks.jsonl", "rb") as file:
            file.seek(plan["offsets"][index] if index >= 0 else -1)
            return plan, list(json.loads(file.readline()))
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise AblateError(f"{folder} has no task {index}: {type(error).__name__}: {error}") from error


def read_submissions(runs: Path, which: str = "*") -> Iterator[Submission]:
    """Every submission of the runs in a folder, the oldest first; or those of one experiment by its `safe` name."""
    for folder in sorted((runs / JOBS).glob(f"{which}/*")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):  # one that was cut short was not submitted
            plan = json.loads((folder / "plan.json").read_bytes())
            yield Submission(folder.resolve(), plan["runs"], plan["array"])


def timeouts(folder: Path, index: int) -> int:
    """How often a task reached its time limit."""
    try:
        return len((folder / f"{index}.timeouts").read_text().splitlines())
    except FileNotFoundError:
        return 0


def timed_out(folder: Path, index: int) -> int:
    """Record that a task reached its time limit; returns how often it has."""
    with open(folder / f"{index}.timeouts", "a") as file:
        file.write(time.strftime("%Y-%m-%dT%H:%M:%S\n"))
    return timeouts(folder, index)


def give_up(folder: Path, index: int, why: str) -> None:
    """Record why a task ends with unfinished runs; `Submission.given_up` reads it."""
    (folder / f"{index}.end").write_text(why + "\n")


def _save(folder: Path, plan: dict[str, Any]) -> None:
    write_whole(folder / "plan.json", json.dumps(plan).encode())
