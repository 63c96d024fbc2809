"""Which runs SLURM has, and how: submissions joined with squeue, and both with the records."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.submission import Submission, read_submissions
from ablate.runs.reading import Runs


@dataclass(frozen=True)
class Place:
    """Where a run is in SLURM: its task and the submission that the task is of."""

    task: slurm.Task
    submission: Submission


def tasks(runs: Path, which: str = "*") -> Iterator[Place]:
    """Every task that is queued or running, whoever submitted it; `which` is that of `read_submissions`.

    Raises AblateError where squeue does not answer.
    """
    submissions = {str(submission.folder): submission for submission in read_submissions(runs, which)}
    for task in slurm.queue(submission.job_name for submission in submissions.values()):
        submission = submissions.get(task.comment)
        if submission is not None and task.index < len(submission.runs):
            yield Place(task, submission)


def places(runs: Path) -> dict[str, Place]:
    """The runs that are queued or running, by the name of their folder. Raises AblateError as `tasks` does.

    A run may stand in two submissions: the one that is running says more than the one that waits.
    """
    found: dict[str, Place] = {}
    for place in tasks(runs):
        for name in place.submission.runs[place.task.index]:
            if name not in found or place.task.state == "RUNNING":
                found[name] = place
    return found


def join(found: Runs, runs: Path) -> None:
    """Say of each run that SLURM has, or has had, what the record alone cannot tell; changes `found`.

    queued: waits for its first start. waiting: began, was stopped, and is queued again. starting: its task runs and
    has not taken it up yet. lost: it was submitted, SLURM has it no more, and nobody is at it. A run that has
    failed stays so. A task that has given up says why.
    Raises AblateError where squeue does not answer.
    """
    submissions = list(read_submissions(runs))
    if not submissions:
        return
    taken = places(runs)
    latest = {
        name: (submission, at)
        for submission in submissions
        if submission.array is not None
        for at, row in enumerate(submission.runs)
        for name in row
    }
    gone = [run for run in found.runs if run.folder.name in latest and run.folder.name not in taken]
    lost = [run for run in gone if run.state in ("stale", "missing")]
    ends = slurm.last_states(str(latest[run.folder.name][0].array) for run in lost)
    for run in found.runs:
        place = taken.get(run.folder.name)
        if place is None or run.state in ("finished", "diverged"):
            continue
        task = place.task
        run.lock["task"], run.lock["node"] = task.name, task.node
        if task.state == "PENDING":
            run.lock["reason"] = f"{task.name}, {task.reason}"
            if run.state != "failed":
                run.state = "queued" if run.state == "missing" else "waiting"
        elif run.state in ("missing", "stale", "interrupted"):
            run.state = "starting"
            run.lock["reason"] = f"{task.name} {task.state.lower()} on {task.node}"
    for run in gone:
        submission, at = latest[run.folder.name]
        if run.state == "interrupted" and (why := submission.given_up(at)):
            run.result = {**run.result, "reason": why}
    for run in lost:
        submission, at = latest[run.folder.name]
        said = f", whose accounting says {end}," if (end := ends.get(f"{submission.array}_{at}")) else ""
        beat = f" and its heartbeat is {_age(run.lock['renewed'])} old" if "renewed" in run.lock else ""
        run.state = "lost"
        run.lock["reason"] = (
            f"SLURM{said} knows nothing of it{beat}: see {submission.log(at)}; the same grid again submits it"
        )


def _age(renewed: float) -> str:
    minutes = (time.time() - renewed) / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
