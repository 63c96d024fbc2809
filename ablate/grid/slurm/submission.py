"""A submission on disk, results/runs/_jobs/EXPERIMENT/WHEN/: which task trains which runs, and their logs.

| file | content |
|---|---|
| plan.json | the runs' folders task by task, the offset of each task's line, the array's id once there is one, |
| | when (UTC) and by what command it was submitted |
| tasks.jsonl | a line a task: its runs' configurations |
| job.sh, sbatch.txt | the script that SLURM starts, and the command that submitted it |
| N.log | the output of task N, all its sessions |
| N.timeouts | a line each time that task N reached its time limit: when, and a hash of its checkpoints |
| N.reasons.json | why task N ended without finishing runs, by their folder names |

Two files hold all tasks: ten thousand runs do not make ten thousand files, and a task reads only its own line.
"""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError, one_line
from ablate.base.files import read_json, write_whole
from ablate.runs.identity import SCHEMA
from ablate.runs.layout import JOBS
from ablate.runs.record import Record

REASONS = "{}.reasons.json"
TAIL = 4096
"""Bytes in which the last line of a log is looked for."""
UNNAMED = "grid"
"""The folder of grids without an experiment."""


@dataclass(frozen=True)
class Submission:
    """One array. `runs`: for each task the folder names of its runs; `array` is None until SLURM has accepted it."""

    folder: Path
    runs: list[list[str]]
    array: str | None = None

    @property
    def job_name(self) -> str:
        return f"ablate-{self.folder.parent.name}"

    def log(self, index: int) -> Path:
        return self.folder / f"{index}.log"

    def reasons(self, index: int) -> dict[str, str]:
        """Why a task ended without finishing some of its runs, by folder name; `give_up` records it."""
        with contextlib.suppress(OSError):
            return read_json(self.folder / REASONS.format(index)) or {}
        return {}

    def last_line(self, index: int) -> str:
        """The last line of a task's log that is not empty, or ''."""
        with contextlib.suppress(OSError), open(self.log(index), "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read().decode(errors="replace").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "")
        return ""


def folder_of(experiment: str | None) -> str:
    """An experiment's name as that of a folder and a job; different names stay different."""
    if not experiment:
        return UNNAMED
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", experiment)[:60]
    if plain == experiment != UNNAMED:
        return plain
    return f"{plain}-{hashlib.sha256(experiment.encode()).hexdigest()[:8]}"


def create(tasks: list[list[Record]]) -> Submission:
    """Write which task trains which runs. Raises AblateError if the disk refuses."""
    first = tasks[0][0].config
    when = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = Path(first.results) / JOBS / folder_of(first.experiment) / when
    names = [[record.name for record in task] for task in tasks]
    content, offsets = bytearray(), []
    for task in tasks:
        offsets.append(len(content))
        content += json.dumps([record.tree for record in task]).encode() + b"\n"
    if "\\" in str(folder.resolve()):  # SLURM would take it from the name of a log
        raise AblateError(f"{folder.resolve()} has a backslash in its name, which SLURM removes: use results=FOLDER")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    plan = {"schema": SCHEMA, "when": now, "argv": sys.argv, "array": None, "offsets": offsets, "runs": names}
    try:
        folder.mkdir(parents=True)
        write_whole(folder / "tasks.jsonl", bytes(content))
        _write_plan(folder, plan)
    except OSError as error:
        raise AblateError(f"{folder} cannot be written: {error.strerror}; use results=FOLDER") from error
    return Submission(folder.resolve(), names)


def submitted(submission: Submission, array: str) -> None:
    """Record the id that SLURM gave a submission."""
    _write_plan(submission.folder, {**(read_json(submission.folder / "plan.json") or {}), "array": array})


def discard(submission: Submission) -> None:
    """Remove a submission that SLURM refused."""
    shutil.rmtree(submission.folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # the experiment has other submissions
        submission.folder.parent.rmdir()


def task(folder: Path, index: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The plan, and the configurations of the runs of task `index`. Raises AblateError if there is no such task."""
    try:
        plan = read_json(folder / "plan.json") or {}
        if plan["schema"] != SCHEMA:
            raise AblateError(f"{folder} was submitted by another version of ablate: run the grid's command again")
        if not 0 <= index < len(plan["offsets"]):
            raise AblateError(f"{folder} has no task {index}: its tasks are 0 to {len(plan['offsets']) - 1}")
        with open(folder / "tasks.jsonl", "rb") as file:
            file.seek(plan["offsets"][index])
            return plan, list(json.loads(file.readline()))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AblateError(f"{folder} is not a whole submission: {one_line(error)}") from error


def read_submissions(runs: Path, experiment: str = "*") -> Iterator[Submission]:
    """The submissions in a folder of runs, the oldest first; those of one experiment if given its `folder_of`."""
    for folder in sorted((runs / JOBS).glob(f"{experiment}/*")):
        with contextlib.suppress(OSError, KeyError):  # creating it was cut short, so it was not submitted
            plan = read_json(folder / "plan.json") or {}
            yield Submission(folder.resolve(), plan["runs"], plan["array"])


def configurations(submission: Submission) -> Iterator[tuple[str, dict[str, Any]]]:
    """The folder name and the configuration of each run; none if another version submitted it."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        if (read_json(submission.folder / "plan.json") or {})["schema"] == SCHEMA:
            with open(submission.folder / "tasks.jsonl", "rb") as lines:
                for names, line in zip(submission.runs, lines, strict=True):
                    yield from zip(names, json.loads(line), strict=True)


def timed_out(folder: Path, index: int, progress: str) -> tuple[int, bool]:
    """Record that a task reached its time limit. Return how often it has, and whether `progress` is the last time's."""
    with open(folder / f"{index}.timeouts", "a+") as file:
        file.seek(0)
        before = file.read().splitlines()
        file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {progress}\n")
    return len(before) + 1, bool(before) and before[-1].endswith(f" {progress}")


def begin(folder: Path, index: int) -> None:
    """Forget why a task ended: it runs again."""
    (folder / REASONS.format(index)).unlink(missing_ok=True)


def give_up(folder: Path, index: int, reasons: dict[str, str]) -> None:
    """Record why a task ends without finishing some of its runs, by folder name; `Submission.reasons` reads it."""
    path = folder / REASONS.format(index)
    with contextlib.suppress(OSError):  # they are in the log too
        write_whole(path, json.dumps({**(read_json(path) or {}), **reasons}).encode())


def _write_plan(folder: Path, plan: dict[str, Any]) -> None:
    write_whole(folder / "plan.json", json.dumps(plan).encode())
