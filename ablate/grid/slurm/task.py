"""What one task of an array does: its runs, to their ends, however often it is stopped on the way.

python -m ablate.grid.slurm.task results/runs/_jobs/table1/20260101-120000-abcdef 3

SLURM starts it with the number in SLURM_ARRAY_TASK_ID. Asked to stop by SIGUSR1, which comes before a time limit and
at a preemption, it writes its checkpoints, goes back into the queue and later on where it was. SIGTERM ends it: SLURM
sends it when it cancels a task or takes it back itself.
"""

import argparse
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
from ablate.base.terminal import say
from ablate.runs.stopping import Stopping

if TYPE_CHECKING:
    from ablate.runs.record import Record

EARLY = 1.0
"""Minutes by which SLURM, which looks at its limits twice a minute, may give its warning early."""
LOOK = 5.0
"""Seconds between looks at a run that somebody holds, and the most between two questions to SLURM."""
T = TypeVar("T")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m ablate.grid.slurm.task", description="One task of a job array.")
    parser.add_argument("submission", type=Path, help="the submission's folder")
    parser.add_argument("task", type=int, nargs="?", help="its number (SLURM_ARRAY_TASK_ID)")
    parser.add_argument("--side-by-side", type=int, default=1, help="runs at once (%(default)s)")
    parser.add_argument(
        "--warning", type=float, default=120, help="seconds before a time limit that SIGUSR1 comes (%(default)s)"
    )
    parser.add_argument("--max-timeouts", type=int, default=20, help="time limits before it gives up (%(default)s)")
    options = parser.parse_intermixed_args(arguments)  # job.sh puts the number last
    if options.task is None:
        if "SLURM_ARRAY_TASK_ID" not in os.environ:
            parser.error("which task? SLURM_ARRAY_TASK_ID is not set: give its number")
        options.task = int(os.environ["SLURM_ARRAY_TASK_ID"])
    with Stopping() as stopping:  # from here on: a warning that nobody heard would end the task for good
        try:
            session = os.environ.get("SLURM_RESTART_COUNT", "0")
            say(f"task {options.task} of {options.submission}, session {session}, on {os.uname().nodename}")
            return _carry_out(options, stopping)
        except AblateError as error:
            say(f"ablate: {error}", error=True)
            return error.exit_status
        finally:
            stopping.answered = True


def _carry_out(options: argparse.Namespace, stopping: Stopping) -> int:
    from ablate.grid.launcher import SerialLauncher
    from ablate.grid.local import ProcessLauncher
    from ablate.grid.slurm.submission import task
    from ablate.runs.lock import active_lock

    os.environ["ABLATE_TRACEBACK"] = "1"  # the task's log is where a person looks
    plan, trees = task(options.submission, options.task)
    sys.argv = plan.get("argv", sys.argv)  # a record says by what command it can be had again, which is not this task's
    left, status = [], 0
    for tree in trees:
        try:
            left.append(_record(tree, plan["when"]))
        except AblateError as error:
            say(f"ablate: {error}", error=True)
            status = 1
    place = ProcessLauncher(options.side_by_side) if options.side_by_side > 1 else SerialLauncher()
    first: dict[Path, Any] = {}  # when a run's other holder had last been heard of at the first look
    while True:
        left = [record for record in left if record.action() != "skip"]
        ready, held = [], []
        for record in left:
            folder = record.folder
            lock = active_lock(folder)
            if lock is None:
                ready.append(record)
                continue
            if folder not in first:
                first[folder] = lock.get("renewed")
                say(f"{folder.name}: held by a process on {lock.get('host')}; looking whether it lives")
            # An earlier session that SLURM took for dead may live on for a while, and be killed then: wait for its end.
            # Another's holder that was killed counts as living for minutes: only one that is heard of again lives.
            if _is_ours(lock) or lock.get("renewed") == first[folder]:
                held.append(record)
        if stopping.signum is not None:
            return _stopped(options, stopping.signum)
        if ready:
            outcomes = place.carry_out(ready) or []
            status = max([status, *(outcome.status for outcome in outcomes if not outcome.interrupted)])
            for outcome in outcomes:
                if outcome.interrupted:
                    return _stopped(options, outcome.status - 128)
            for record in ready:
                record.config.rerun = None  # it has been trained again by now, or failed
            # Without a fault and not finished, a run was taken by another just now, perhaps an earlier session.
            failed = {record.name for record, outcome in zip(ready, outcomes, strict=True) if outcome.status}
            left = [record for record in left if record.name not in failed]
        elif held:
            time.sleep(LOOK)
        else:
            for record in left:
                say(f"{record.name}: left to the process that trains it")
            return status


def _record(tree: dict[str, Any], when: str) -> "Record":
    """The run as it was submitted. Raises AblateError if its code or its images have changed since.

    rerun= is carried out once: a run that began after the submission resumes in later sessions.
    """
    from ablate.config.compose import from_tree
    from ablate.config.resolve import settle
    from ablate.runs.identity import folder_name
    from ablate.runs.record import Record

    record = Record(settle(from_tree(tree)))
    if record.name != folder_name(tree):
        raise AblateError(
            f"{folder_name(tree)} is {record.name} by now: its code or its images have changed since it was submitted; "
            "submit the grid again"
        )
    if str((record.read_result() or {}).get("started", "")) >= when:
        record.config.rerun = None
    return record


def _job() -> str | None:
    """The id that a task keeps over all its sessions."""
    return os.environ.get("SLURM_JOB_ID")


def _is_ours(lock: dict[str, Any]) -> bool:
    return _job() is not None and lock.get("job") == _job()


def _task() -> str:
    """The task as scontrol takes it. The last task of an array has the array's own id, which stands for all of it."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{index}" if array else str(_job())


def _stopped(options: argparse.Namespace, signum: int) -> int:
    """Checkpoints are written: back into the queue, or out."""
    from ablate.grid.slurm import client as slurm
    from ablate.grid.slurm.submission import give_up, timed_out

    if signum != signal.SIGUSR1 or _job() is None:
        say(f"stopped by {signal.Signals(signum).name}; the same grid again goes on")
        return 128 + signum
    # SLURM sends the same signal for a preemption, which is no fault of the task: only the clock tells them apart.
    end = time.monotonic() + options.warning
    limit, used = _patiently(lambda: slurm.clock(_task()), end) or (math.inf, 0.0)
    if used > limit - options.warning / 60 - EARLY:
        count = timed_out(options.submission, options.task)
        if count > options.max_timeouts:
            why = (
                f"the time limit of {limit:g} minutes was reached {count} times, more than "
                f"max_timeouts={options.max_timeouts}: give a longer hydra.launcher.time; the same grid again goes on"
            )
            give_up(options.submission, options.task, why)
            say(f"ablate: {why}", error=True)
            return 1
        say(f"time limit reached {count} times; back into the queue")
    else:
        say("asked to make room; back into the queue")
    _patiently(lambda: slurm.requeue(_task()), end)
    return 0


def _patiently(ask: Callable[[], T], end: float) -> T:
    """What SLURM answers, asked again until `end`: a thousand tasks that are preempted at once all ask at once."""
    while True:
        try:
            return ask()
        except AblateError as error:
            if time.monotonic() > end:
                raise
            say(f"ablate: {error}; trying again", error=True)
            time.sleep(random.uniform(0.2, 1.0) * LOOK)


if __name__ == "__main__":
    sys.exit(main())
