"""What a launcher is here, and the simplest: one run after another, in this process."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ablate.base.errors import ConfigError
from ablate.base.terminal import is_terminal
from ablate.runs.attempt import Outcome, attempt
from ablate.runs.record import Record
from ablate.runs.stopping import Stopping
from ablate.tracking.follower import tracker


class RecordLauncher(Launcher):
    """A launcher that is given whole runs instead of overrides to compose again; a choice of `hydra/launcher`."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Hydra's own objects are not needed: the runs are composed already."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        raise ConfigError("this launcher works only with ablate's own sweeper: leave hydra/sweeper as it is")

    def carry_out(self, records: list[Record]) -> list[Outcome] | None:
        """One outcome for each run; a run that did not begin because of a signal counts as interrupted.

        None if the runs go on without this process.
        """
        raise NotImplementedError


class SerialLauncher(RecordLauncher):
    """One run after another, in this process."""

    __module__ = "hydra_plugins.ablate"  # see `register` in ablate/grid/sweeper.py

    def carry_out(self, records: list[Record]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(records)
        with Stopping() as stopping:
            for number, record in enumerate(records):
                if stopping.signum is None:
                    label = f"[{number + 1}/{len(records)}] "
                    outcome = attempt(record, tracker(record.config), label=label, workers=1, bar=is_terminal())
                    outcomes[number] = outcome
                    if outcome.interrupted:  # the run has answered the signal; the grid stops with it
                        stopping.signum = outcome.status - 128
            return complete(outcomes, stopping)


def complete(outcomes: list[Outcome | None], stopping: Stopping) -> list[Outcome]:
    """An outcome for every run; if a signal stopped the grid, the runs it cut short have that signal's status."""
    if stopping.signum is None:
        return [outcome or Outcome(1, "it was not carried out") for outcome in outcomes]
    stopping.answered = True
    cut = Outcome(128 + stopping.signum, "not begun", interrupted=True)
    return [cut if outcome is None or outcome.interrupted else outcome for outcome in outcomes]
