"""One task of a job array: trains its runs to their ends, over as many sessions as that takes.

python -m ablate.grid.slurm.task results/runs/_jobs/table1/20260101-120000-abcdef 3

SLURM starts it with the task's number in SLURM_ARRAY_TASK_ID. SIGUSR1, which comes before a time limit and at a
preemption, makes it write checkpoints and requeue itself; the next session resumes. SIGTERM ends it: SLURM sends it
when it cancels or requeues a task.
"""

import argparse
import hashlib
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ablate.base.errors import AblateError
from ablate.base.place import place
from ablate.base.process import leave_group
from ablate.base.terminal import say
from ablate.runs.stopping import Stopping

if TYPE_CHECKING:
    from ablate.runs.record import Record

EARLY = 1.0
"""Minutes by which SLURM may send its warning early: it checks time limits only now and then."""
INTERVAL = 5.0
"""Seconds between checks of a locked run, and the most between two attempts to ask SLURM."""
T = TypeVar("T")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m ablate.grid.slurm.task", description="One task of a job array.")
    parser.add_argument("submission", type=Path, help="the submission's folder")
    parser.add_argument("task", type=int, nargs="?", help="its number (SLURM_ARRAY_TASK_ID)")
    parser.add_argument("--side-by-side", type=int, default=1, help="runs at once (%(default)s)")
    parser.add_argument("--warning", type=float, default=120, help="seconds from SIGUSR1 to a time limit (%(default)s)")
    parser.add_argument("--max-timeouts", type=int, default=20, help="time limits before it gives up (%(default)s)")
    options = parser.parse_intermixed_args(arguments)  # job.sh puts the number last
    if options.task is None:
        if "SLURM_ARRAY_TASK_ID" not in os.environ:
            parser.error("SLURM_ARRAY_TASK_ID is not set: give the task's number")
        options.task = int(os.environ["SLURM_ARRAY_TASK_ID"])
    if place().rank:
        from ablate.runs.follow import follow

        try:
            follow()
        except AblateError as error:
            say(f"ablate: {error}", error=True)
            return error.exit_status
        return 0
    with Stopping() as stopping:  # before the slow imports: an unhandled warning would end the task for good
        try:
            session = os.environ.get("SLURM_RESTART_COUNT", "0")
            say(f"task {options.task} of {options.submission}, session {session}, on {os.uname().nodename}")
            return _lead(options, stopping)
        except AblateError as error:
            say(f"ablate: {error}", error=True)
            return error.exit_status
        finally:
            stopping.answered = True


def _lead(options: argparse.Namespace, stopping: Stopping) -> int:
    from ablate.training.group import group

    together = group()
    try:
        return _carry_out(options, stopping)
    finally:
        together.end()


def _carry_out(options: argparse.Namespace, stopping: Stopping) -> int:
    from ablate.grid.launcher import SerialLauncher
    from ablate.grid.local import ProcessLauncher
    from ablate.grid.slurm.submission import begin, give_up, task
    from ablate.runs.identity import folder_name

    os.environ["ABLATE_TRACEBACK"] = "1"  # tracebacks go into the task's log
    plan, trees = task(options.submission, options.task)
    begin(options.submission, options.task)
    sys.argv = plan["argv"]  # the command that a record names is the one that submitted the grid
    records, status = [], 0
    for tree in trees:
        try:
            records.append(_record(tree, plan["when"]))
        except AblateError as error:
            say(f"ablate: {error}", error=True)
            give_up(options.submission, options.task, {folder_name(tree): str(error)})
            status = 1
    launcher = ProcessLauncher(options.side_by_side) if options.side_by_side > 1 else SerialLauncher()
    first_seen: dict[Path, Any] = {}
    while True:
        records, refused = _unfinished(records)
        if refused:
            give_up(options.submission, options.task, refused)
            status = max(status, 1)
        if not records:
            break
        ready, locked = _by_lock(records, first_seen)
        if stopping.signum is not None:
            return _stopped(options, stopping.signum, records)
        if ready:
            outcomes = launcher.carry_out(ready) or []
            failed = {
                record.name: outcome.message
                for record, outcome in zip(ready, outcomes, strict=True)
                if outcome.status and not outcome.interrupted
            }
            if failed:
                give_up(options.submission, options.task, failed)
            for name, message in failed.items():
                say(f"ablate: {name} failed: {message}", error=True)
            # A run that neither failed nor finished was locked by another process meanwhile: it is checked again.
            records = [record for record in records if record.name not in failed]
            for outcome in outcomes:
                if outcome.interrupted:
                    return _stopped(options, outcome.status - 128, records)
            status = max([status, *(outcome.status for outcome in outcomes)])
            for record in ready:
                record.config.rerun = None  # it has been trained again, or failed
        elif locked:
            time.sleep(INTERVAL)
        else:
            for record in records:
                say(f"{record.name}: left to the process that trains it")
            return status
    return status


def _by_lock(records: list["Record"], first_seen: dict[Path, Any]) -> tuple[list["Record"], list["Record"]]:
    """The runs that are not locked, and those whose lock may be stale soon and is waited for.

    `first_seen` keeps each lock's heartbeat at the first look. A lock is waited for if it is an earlier session's of
    this task, which SLURM took for dead and will kill, or if its heartbeat has not changed since: another host's killed
    process looks alive for minutes. A process whose heartbeat changes is alive, and keeps its run.
    """
    from ablate.runs.lock import active_lock

    ready, locked = [], []
    for record in records:
        lock = active_lock(record.folder)
        if lock is None:
            ready.append(record)
            continue
        if record.folder not in first_seen:
            first_seen[record.folder] = lock.get("renewed")
            say(f"{record.name}: locked by a process on {lock.get('host')}; checking whether it is alive")
        if lock.get("job", "") == _job() or lock.get("renewed") == first_seen[record.folder]:
            locked.append(record)
    return ready, locked


def _record(tree: dict[str, Any], when: str) -> "Record":
    """The run as it was submitted. Raises AblateError if its code, images or initial weights changed.

    rerun= is carried out once: a run that began after the submission resumes in later sessions.
    """
    from ablate.config.compose import from_tree
    from ablate.config.resolve import settle
    from ablate.runs.identity import folder_name
    from ablate.runs.record import Record

    record = Record(settle(from_tree(tree)))
    if record.name != folder_name(tree):
        raise AblateError(
            f"{folder_name(tree)} is now {record.name}: its code, images or initial weights have changed since then; "
            "run the grid's command again"
        )
    if str((record.read_result() or {}).get("started", "")) >= when:
        record.config.rerun = None
    return record


def _job() -> str | None:
    """The id that a task keeps over all its sessions, or None outside SLURM."""
    return os.environ.get("SLURM_JOB_ID")


def _task_name() -> str:
    """The task as scontrol takes it. The job id of an array's last task is the whole array's, so it is not enough."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array else str(_job())


def _stopped(options: argparse.Namespace, signum: int, records: list["Record"]) -> int:
    """Requeue this task, or end it: checkpoints are written. `records` are its unfinished runs."""
    from ablate.grid.slurm import client as slurm
    from ablate.grid.slurm.submission import give_up, timed_out

    if signum != signal.SIGUSR1 or _job() is None:
        say(f"stopped by {signal.Signals(signum).name}; run the grid's command again to resume")
        return 128 + signum
    # The signal is the same for a preemption, which does not count as a timeout: only the time used differs.
    end = time.monotonic() + options.warning
    limit, used = _retry(lambda: slurm.time_limit(_task_name()), end) or (math.inf, 0.0)
    if used > limit - options.warning / 60 - EARLY:
        count, stuck = timed_out(options.submission, options.task, _progress(records))
        if stuck or count > options.max_timeouts:
            often = f"the time limit of {limit:g} minutes was reached"
            what = " before any run got further" if stuck else f" more than max_timeouts={options.max_timeouts} times"
            why = f"{often}{what}: give a longer hydra.launcher.time; run the grid's command again to resume"
            give_up(options.submission, options.task, dict.fromkeys((record.name for record in records), why))
            say(f"ablate: {why}", error=True)
            return 1
        say(f"time limit reached, {count} so far; requeueing")
    else:
        say("preempted; requeueing")
    _retry(lambda: slurm.requeue(_task_name()), end)
    return 0


def _unfinished(records: list["Record"]) -> tuple[list["Record"], dict[str, str]]:
    """The runs that are not finished, and why runs were refused that other code has finished or begun, by name."""
    left, refused = [], {}
    for record in records:
        try:
            if record.action() != "skip":
                left.append(record)
        except AblateError as error:
            say(f"ablate: {record.name}: {error}", error=True)
            refused[record.name] = str(error)
    return left, refused


def _progress(records: list["Record"]) -> str:
    """A hash of which runs are left and when their checkpoints were written."""
    from ablate.runs.layout import CHECKPOINT

    paths = [record.folder / CHECKPOINT for record in records]
    times = [(str(path), path.stat().st_mtime_ns if path.exists() else None) for path in paths]
    return hashlib.sha256(repr(times).encode()).hexdigest()[:16]


def _retry(ask: Callable[[], T], end: float) -> T:
    """SLURM's answer, tried until `end`: a thousand tasks that are preempted at once all ask at once."""
    while True:
        try:
            return ask()
        except AblateError as error:
            if time.monotonic() > end:
                raise
            say(f"ablate: {error}; trying again", error=True)
            time.sleep(random.uniform(0.2, 1.0) * INTERVAL)


if __name__ == "__main__":
    done = main()
    leave_group(done)
    sys.exit(done)
