"""`hydra/launcher=slurm`: submits the runs of a grid as a job array, and returns."""

import shlex
import signal
import time
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError, ConfigError
from ablate.base.files import write_whole
from ablate.base.terminal import say
from ablate.config.check import check_processes
from ablate.grid.launcher import RecordLauncher
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.settings import Settings
from ablate.grid.slurm.state import by_run
from ablate.grid.slurm.submission import Submission, create, discard, submitted
from ablate.runs.attempt import Outcome
from ablate.runs.lock import active_lock
from ablate.runs.record import Record

INTERVAL = 15.0
"""Seconds between calls of squeue while `wait=true` watches."""


class SlurmLauncher(RecordLauncher):
    """One array for a grid, one task for every `runs_per_task` runs."""

    def __init__(self, **given: Any) -> None:
        self.settings = Settings.of(given)

    def setup(self) -> None:
        slurm.need("sbatch")

    def check(self, records: list[Record]) -> None:
        for record in records:
            check_processes(record.config, self.settings.nodes * self.settings.processes)
        if any(record.config.fail_fast for record in records):
            raise ConfigError("fail_fast=true is for the runs of one machine: leave it out, and use ablate cancel")
        if any(record.config.results != records[0].config.results for record in records):
            raise ConfigError("results has several values in this grid: submit a grid for each")

    def carry_out(self, records: list[Record]) -> list[Outcome] | None:
        """Submit the runs that are not queued or running. None: they go on without this process."""
        folder, experiment = records[0].config.results, records[0].config.experiment
        waiting = _not_submitted(records, by_run(Path(folder)))
        if waiting:
            self._submit(waiting)
        else:
            say("nothing to submit: every run is queued or running")
        where = shlex.quote(folder) + (f" --experiment {shlex.quote(experiment)}" if experiment else "")
        say(f"to follow:  ablate status {where}")
        say(f"to cancel:  ablate cancel {where}")
        if not self.settings.wait:
            return None
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return watch(records)
        except KeyboardInterrupt:
            say("no longer watching; queued and running tasks go on")
            return None

    def _submit(self, records: list[Record]) -> None:
        each, most = self.settings.runs_per_task, slurm.largest_array()
        tasks = [records[first : first + each] for first in range(0, len(records), each)]
        for first in range(0, len(tasks), most):
            part = tasks[first : first + most]
            submission = create(part)
            array = self._sbatch(submission)
            submitted(submission, array)
            count = sum(map(len, part))
            say(f"submitted {count} runs as array {array} of {len(part)} tasks; logs in {submission.folder}")

    def _sbatch(self, submission: Submission) -> str:
        script, options = submission.folder / "job.sh", self.settings.sbatch_options(submission)
        write_whole(script, self.settings.script(submission).encode())
        command = shlex.join(["sbatch", *options, str(script)])
        write_whole(submission.folder / "sbatch.txt", f"{command}\n".encode())
        try:
            return slurm.submit(options, script)
        except slurm.Unanswered:  # an array that was accepted must not be submitted twice
            for task in slurm.queue([submission.job_name]):
                if task.comment == str(submission.folder):
                    return task.array
            raise
        except AblateError:
            discard(submission)
            raise


def _not_submitted(records: list[Record], found: dict[str, slurm.Task]) -> list[Record]:
    """The runs that are neither queued nor running; prints what the others do."""
    waiting = []
    for record in records:
        task = found.get(record.name)
        if task and task.state == "RUNNING" and record.status() == "failed":
            say(f"{record.name}: failed, and its task {task.name} has not ended: repeat the command afterwards")
        elif task and task.state != "COMPLETING":
            say(f"{record.name}: already {task.state.lower()} as {task.name}")
        elif lock := active_lock(record.folder):
            say(f"{record.name}: is being trained on {lock['host']}")
        else:
            waiting.append(record)
    return waiting


def watch(records: list[Record]) -> list[Outcome]:
    """Wait until SLURM has none of the runs any more, then read how each ended from its record."""
    before = ""
    while True:
        try:
            found = by_run(Path(records[0].config.results))
        except AblateError as error:  # a busy controller
            say(f"ablate: {error}; trying again in {INTERVAL:.0f} s", error=True)
            time.sleep(INTERVAL)
            continue
        states = [found[record.name].state for record in records if record.name in found]
        counts = ", ".join(f"{states.count(state)} {state.lower()}" for state in sorted(set(states)))
        if counts != before:
            say(f"{time.strftime('%H:%M:%S')} {counts or 'all tasks have ended'}")
            before = counts
        if not states:
            return [_outcome(record) for record in records]
        time.sleep(INTERVAL)


def _outcome(record: Record) -> Outcome:
    if record.finished():
        return Outcome()
    result = record.read_result() or {}
    return Outcome(1, str(result.get("reason") or "its task ended without a result"))
