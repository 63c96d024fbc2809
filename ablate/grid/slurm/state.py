"""Which runs SLURM has, and in what state: squeue joined with the submissions and the records."""

from collections.abc import Iterator
from pathlib import Path

from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.submission import read_submissions
from ablate.runs.reading import Runs


def tasks(runs: Path, experiment: str = "*") -> Iterator[tuple[slurm.Task, list[str]]]:
    """Every queued or running task, of any user, with the folder names of its runs.

    `experiment` as `read_submissions` takes it. Raises AblateError if squeue fails, as the functions below do.
    """
    submissions = {str(submission.folder): submission for submission in read_submissions(runs, experiment)}
    for task in slurm.queue(submission.job_name for submission in submissions.values()):
        submission = submissions.get(task.comment)
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


def join(found: Runs, runs: Path) -> None:
    """Add to each run in `found` what SLURM knows of it.

    New states: queued (not started yet), waiting (started, stopped, and queued again), starting (its task runs and has
    not locked it yet), lost (submitted, unfinished, and SLURM does not have it any more). A failed run stays failed. A
    run whose task gave up gets the reason.
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
        if task is None or run.state in ("finished", "diverged"):
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
    for run in gone:
        submission, index = latest[run.folder.name]
        if run.state == "interrupted" and (why := submission.given_up(index)):
            run.result = {**run.result, "reason": why}
    lost = [run for run in gone if run.state in ("stale", "missing")]
    ends = slurm.last_states(str(latest[run.folder.name][0].array) for run in lost)
    for run in lost:
        submission, index = latest[run.folder.name]
        end = ends.get(f"{submission.array}_{index}")
        said = f"SLURM's accounting says {end}" if end else "SLURM has no task for it"
        run.state = "lost"
        run.lock["reason"] = f"{said}: see {submission.log(index)}; the same grid again submits it"
