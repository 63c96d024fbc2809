"""The interface of a launcher, and the simplest one: one run after another in this process."""

import signal

from ablate.base.terminal import is_terminal
from ablate.runs.attempt import Outcome, attempt
from ablate.runs.record import Record
from ablate.runs.stopping import Stopping
from ablate.tracking.follower import tracker


class RecordLauncher:
    """A choice of `hydra/launcher`, made from the keys of its file. The sweeper gives it runs."""

    def setup(self) -> None:
        """Raise AblateError if this machine lacks what the launcher needs."""

    def check(self, records: list[Record]) -> None:
        """Raise ConfigError if it cannot carry out these runs, before anything is written."""

    def carry_out(self, records: list[Record]) -> list[Outcome] | None:
        """One outcome for each run; a run that a signal prevented from beginning counts as interrupted.

        None if the runs continue without this process.
        """
        raise NotImplementedError


class SerialLauncher(RecordLauncher):
    """One run after another, in this process."""

    def carry_out(self, records: list[Record]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(records)
        with Stopping() as stopping:
            for number, record in enumerate(records):
                if stopping.signum is None:
                    label = f"[{number + 1}/{len(records)}] "
                    outcome = attempt(record, tracker(record.config), label=label, workers=1, bar=is_terminal())
                    outcomes[number] = outcome
                    if outcome.interrupted:  # the run has answered the signal: stop the grid as well
                        stopping.signum = outcome.status - 128
                    stop_if_failed(stopping, record, outcome)
            return complete(outcomes, stopping)


def stop_if_failed(stopping: Stopping, record: Record, outcome: Outcome) -> None:
    """With fail_fast=true, stop a grid after a failed run as a signal would: runs in progress write a checkpoint."""
    failed = outcome.status != 0 and not outcome.interrupted
    if failed and record.config.fail_fast and stopping.signum is None:
        stopping.signum = signal.SIGTERM


def complete(outcomes: list[Outcome | None], stopping: Stopping) -> list[Outcome]:
    """An outcome for every run. If a signal stopped the grid, unfinished runs have that signal's status."""
    if stopping.signum is None:
        return [outcome or Outcome(1, "it was not carried out") for outcome in outcomes]
    stopping.answered = True
    cut = Outcome(128 + stopping.signum, "not begun", interrupted=True)
    return [cut if outcome is None or outcome.interrupted else outcome for outcome in outcomes]
