"""`hydra/launcher=slurm`: the runs of a grid as one job array, submitted and left."""

import shlex
import sys
import time
from pathlib import Path
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import write_whole
from ablate.base.terminal import say
from ablate.grid.launcher import RecordLauncher
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.state import places
from ablate.grid.slurm.submission import Submission, create, discard, submitted
from ablate.runs.attempt import Outcome
from ablate.runs.lock import active_lock
from ablate.runs.record import Record

LOOK = 15.0
"""Seconds between looks while `wait=true` watches."""
QUEUED = ("partition", "account", "qos", "time", "constraint")
LEAST = {"runs_per_task": 1, "side_by_side": 1, "max_timeouts": 0, "gpus": 0, "cpus": 1, "warning": 1}
LONGEST = 14 * 24 * 60
"""Minutes: a whole number above is 12:00:00 without its quotes, which YAML reads as 43200."""

SCRIPT = """#!/bin/bash
# Task N of this array trains the runs in line N of tasks.jsonl. By hand, here or on a node: bash job.sh N
# Ignored until python listens: a warning that came before would end the task for good.
trap '' USR1
cd {here} || exit 1
{setup}
exec {command} "$@"
"""


class SlurmLauncher(RecordLauncher):
    """One array a grid, one task for every `runs_per_task` runs; conf/hydra/launcher/slurm.yaml tells the keys."""

    __module__ = "hydra_plugins.ablate"

    def __init__(
        self,
        *,
        partition: str | None,
        account: str | None,
        qos: str | None,
        time: str | int | None,
        constraint: str | None,
        gpus: int,
        cpus: int,
        memory: str | None,
        options: list[str],
        setup: list[str],
        python: str | None,
        at_once: int | None,
        runs_per_task: int,
        side_by_side: int,
        warning: int,
        max_timeouts: int,
        wait: bool,
    ) -> None:
        given = {key: value for key, value in locals().items() if key not in ("self", "__class__")}
        self.asked: dict[str, Any] = given
        self.waits = wait

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        for key, least in LEAST.items():
            value = self.asked[key]
            if type(value) is not int or value < least:
                raise ConfigError(f"hydra.launcher.{key}={value} is out of range: a whole number, {least} or more")
        limit, warning = minutes(self.asked["time"]), self.asked["warning"]
        if limit is not None and warning >= 60 * limit:
            raise ConfigError(
                f"hydra.launcher.warning={warning} is not within the time limit of {60 * limit:.0f} s: give less, or a "
                "longer hydra.launcher.time"
            )
        slurm.need("sbatch")

    def carry_out(self, records: list[Record]) -> list[Outcome] | None:
        """Submit what is not queued or running yet. None: the runs go on without this process."""
        folder = Path(records[0].config.results)
        taken = places(folder)
        waiting = []
        for record in records:
            place = taken.get(record.name)
            if place and place.task.state == "RUNNING" and record.status() == "failed":
                again = "the same command afterwards submits it"
                say(f"{record.name}: has failed, and its task {place.task.name} has not ended: {again}")
            elif place and place.task.state != "COMPLETING":
                say(f"{record.name}: already {place.task.state.lower()} as {place.task.name}")
            elif lock := active_lock(record.folder):
                say(f"{record.name}: is being trained on {lock['host']}")
            else:
                waiting.append(record)
        if waiting:
            self._submit(waiting)
        else:
            say("nothing to submit: all of it is queued or running")
        name = records[0].config.experiment
        which = f"{shlex.quote(str(folder))}" + (f" --experiment {shlex.quote(name)}" if name else "")
        say(f"to follow:  ablate status {which}")
        say(f"to cancel:  ablate cancel {which}")
        if not self.waits:
            return None
        try:
            return self._watch(records)
        except KeyboardInterrupt:
            say("no longer watching; what is queued and running goes on")
            return None

    def _submit(self, records: list[Record]) -> None:
        each, most = self.asked["runs_per_task"], slurm.largest_array()
        tasks = [records[first : first + each] for first in range(0, len(records), each)]
        for first in range(0, len(tasks), most):
            part = tasks[first : first + most]
            submission = create(part)
            array = self._sbatch(submission)
            submitted(submission, array)
            count = sum(map(len, part))
            say(f"submitted {count} runs as array {array} of {len(part)} tasks; logs in {submission.folder}")

    def _sbatch(self, submission: Submission) -> str:
        script = submission.folder / "job.sh"
        arguments = self._arguments(submission)
        write_whole(script, self._script(submission).encode())
        write_whole(submission.folder / "sbatch.txt", (shlex.join(["sbatch", *arguments, str(script)]) + "\n").encode())
        try:
            return slurm.submit(arguments, script)
        except AblateError as error:
            # A controller that took the array and answered too late would otherwise be given it twice.
            if "timed out" in str(error) or "no answer" in str(error):
                for task in slurm.queue([submission.job_name]):
                    if task.comment == str(submission.folder):
                        return task.array
            else:
                discard(submission)
            raise

    def _arguments(self, submission: Submission) -> list[str]:
        asked, last = self.asked, len(submission.runs) - 1
        limit = f"%{asked['at_once']}" if asked["at_once"] else ""
        arguments = [
            f"--job-name={submission.job_name}",
            f"--comment={submission.folder}",
            f"--array=0-{last}{limit}",
            f"--output={submission.folder}/%a.log",
            "--open-mode=append",
            "--requeue",
            f"--signal=B:USR1@{asked['warning']}",
            f"--cpus-per-task={asked['cpus']}",
            *(f"--{key}={asked[key]}" for key in QUEUED if asked[key] is not None),
        ]
        if asked["memory"]:
            arguments.append(f"--mem={asked['memory']}")
        if asked["gpus"]:
            arguments.append(f"--gres=gpu:{asked['gpus']}")
        return [*arguments, *asked["options"]]

    def _script(self, submission: Submission) -> str:
        asked = self.asked
        command = [
            asked["python"] or shlex.quote(sys.executable),
            *("-m", "ablate.grid.slurm.task", shlex.quote(str(submission.folder))),
            f"--side-by-side={asked['side_by_side']}",
            f"--max-timeouts={asked['max_timeouts']}",
            f"--warning={asked['warning']}",
        ]
        setup = "\n".join(asked["setup"])
        return SCRIPT.format(here=shlex.quote(str(Path.cwd())), setup=setup, command=" ".join(command))

    def _watch(self, records: list[Record]) -> list[Outcome]:
        """Stay until SLURM has none of the runs any more, and say how each ended by its own record."""
        folder, before = Path(records[0].config.results), ""
        while True:
            try:
                taken = places(folder)
            except AblateError as error:  # a busy controller ends no watch
                say(f"ablate: {error}; looking again in {LOOK:.0f} s", error=True)
                time.sleep(LOOK)
                continue
            mine = [taken[name].task.state for name in (record.name for record in records) if name in taken]
            counts = ", ".join(f"{mine.count(state)} {state.lower()}" for state in sorted(set(mine)))
            if counts != before:
                say(f"{time.strftime('%H:%M:%S')} {counts or 'all tasks have ended'}")
                before = counts
            if not mine:
                return [_outcome(record) for record in records]
            time.sleep(LOOK)


def _outcome(record: Record) -> Outcome:
    result = record.read_result() or {}
    if record.finished():
        return Outcome()
    return Outcome(1, str(result.get("reason") or "its task has ended without a result"))


def minutes(limit: str | int | None) -> float | None:
    """A time limit as SLURM takes it, in minutes: 90, MM:SS, HH:MM:SS, D-HH, D-HH:MM. Raises ConfigError."""
    if limit is None:
        return None
    try:
        total = slurm.minutes(str(limit))
    except ValueError as error:
        raise ConfigError(
            f"hydra.launcher.time={limit} is no time limit: give minutes, HH:MM:SS or D-HH:MM, quoted"
        ) from error
    if isinstance(limit, int) and limit > LONGEST:
        raise ConfigError(
            f"hydra.launcher.time={limit} is {limit / 1440:.0f} days: quote it if HH:MM:SS was meant, which YAML takes "
            "for a number otherwise; if not, give D-HH"
        )
    if total <= 0:
        raise ConfigError(f"hydra.launcher.time={limit} is no time limit: it must be above 0")
    return total
