"""Which runs SLURM has, and in what state: squeue joined with the submissions and the records."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.submission import UNNAMED, Submission, configurations, read_submissions
from ablate.runs.reading import Runs
from ablate.runs.record import DONE


def tasks(runs: Path, experiment: str = "*") -> Iterator[tuple[slurm.Task, list[str]]]:
    """Every queued or running task, of any user, with the folder names of its runs.

    `experiment` as `read_submissions` takes it. Raises AblateError if squeue fails, as the functions below do.
    """
    submissions = list(read_submissions(runs, experiment))
    arrays = {submission.array: submission for submission in submissions}
    folders = {str(submission.folder): submission for submission in submissions}
    for task in slurm.queue(submission.job_name for submission in submissions):
        # By the folder, because an id may be used again; by the id where the site replaces comments.
        submission = folders.get(task.comment) or arrays.get(task.array)
        if submission is not None and task.index < len(submission.runs):
            yield task, submission.runs[task.index]


def by_run(runs: Path) -> dict[str, slurm.Task]:
    """The task of each queued or running run, by folder name. Of two tasks with the same run, a running one counts."""
    found: dict[str, slurm.Task] = {}
    for task, names in tasks(runs):
        for name in names:
            if name not in found or task.state == "RUNNING":
                found[name] = task
    return found


def asked(runs: Path) -> dict[str, dict[str, Any]]:
    """The configuration of each run that was submitted in a grid without a name, by folder name."""
    return {name: tree for one in read_submissions(runs, UNNAMED) for name, tree in configurations(one)}


def join(found: Runs, runs: Path) -> None:
    """Add to each run in `found` what SLURM knows of it.

    New states, of runs that SLURM has a task for: queued (not started yet), waiting (started, stopped, and queued
    again), starting (its task runs and has not locked it yet). A failed run stays failed. A run whose task has ended
    without finishing it keeps its state and gets the reason.
    """
    submissions = list(read_submissions(runs))
    if not submissions:
        return
    current = by_run(runs)
    latest = {
        name: (submission, index)
        for submission in submissions
        if submission.array is not None
        for index, names in enumerate(submission.runs)
        for name in names
    }
    for run in found.runs:
        task = current.get(run.folder.name)
        if task is None or run.state in DONE:
            continue
        run.lock["task"], run.lock["node"] = task.name, task.node
        if task.state == "PENDING":
            run.lock["reason"] = f"{task.name}, {task.reason}"
            if run.state != "failed":
                run.state = "queued" if run.state == "missing" else "waiting"
        elif run.state in ("missing", "stale", "interrupted"):
            run.state = "starting"
            run.lock["reason"] = f"{task.name} {task.state.lower()} on {task.node}"
    gone = [run for run in found.runs if run.folder.name in latest and run.folder.name not in current]
    silent = []
    for run in gone:
        submission, index = latest[run.folder.name]
        why = submission.reasons(index).get(run.folder.name)
        if run.state in ("missing", "stale"):
            run.lock["log"] = str(submission.log(index))
            silent += [] if why else [run]
        if why and run.state in ("missing", "stale", "interrupted"):
            run.result = {**run.result, "reason": why}
    ends = slurm.last_states(str(latest[run.folder.name][0].array) for run in silent)
    for run in silent:
        submission, index = latest[run.folder.name]
        run.result = {**run.result, "reason": _ending(submission, index, ends.get(f"{submission.array}_{index}"))}


def _ending(submission: Submission, index: int, end: str | None) -> str:
    """How a task ended that recorded no reason, from accounting and its log."""
    said = f"SLURM's accounting says {end}" if end else "SLURM has no task for it"
    line = submission.last_line(index)
    return f"{said}, and {submission.log(index)} {f'ends with {line!r}' if line else 'is empty or missing'}"
