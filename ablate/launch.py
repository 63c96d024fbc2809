"""Where the runs of a grid are carried out: here one after another, or in several processes of this machine.

Each launcher is a choice of `hydra/launcher`. The sweeper gives it runs that are composed and checked.
"""

import os
import queue
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ablate.config import Config
from ablate.errors import ConfigError
from ablate.machine import cores
from ablate.runs.attempt import Outcome, attempt
from ablate.runs.stopping import SIGNALS, Stopping


class RecordLauncher(Launcher):
    """A launcher that is handed whole configurations instead of overrides to compose again."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing of Hydra's is needed to carry out what is composed already."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        raise ConfigError("this launcher works with the sweeper of ablate alone: leave hydra/sweeper as it is")

    def carry_out(self, configs: list[Config]) -> list[Outcome | None]:
        """One outcome a run, None for a run that was not begun because a signal asked to stop."""
        raise NotImplementedError


class SerialLauncher(RecordLauncher):
    """One run after another, in this process."""

    __module__ = "hydra_plugins.ablate"  # see `register` in ablate/grid.py

    def carry_out(self, configs: list[Config]) -> list[Outcome | None]:
        outcomes: list[Outcome | None] = []
        for number, config in enumerate(configs, 1):
            outcome = attempt(config, label=f"[{number}/{len(configs)}] ", workers=1, bar=sys.stderr.isatty())
            outcomes.append(outcome)
            if outcome.interrupted:
                break
        return outcomes + [None] * (len(configs) - len(outcomes))


class ProcessLauncher(RecordLauncher):
    """`n_jobs` runs at once, -1 for as many as there are cores; each slot is a process that stays warm between runs.

    Every slot has a pool of its own: a process that dies takes its run with it and no other.
    """

    __module__ = "hydra_plugins.ablate"

    def __init__(self, n_jobs: int = -1) -> None:
        if n_jobs < 1 and n_jobs != -1:
            raise ConfigError(f"hydra.launcher.n_jobs={n_jobs} is out of range: 1 or more, or -1 for all cores")
        # Not fewer where fewer runs are left: threads follow from this, and the bits of a run follow from its threads.
        self.slots = cores() if n_jobs == -1 else n_jobs

    def carry_out(self, configs: list[Config]) -> list[Outcome | None]:
        outcomes: list[Outcome | None] = [None] * len(configs)
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(configs)):
            waiting.put(number)
        with Stopping() as stopping:
            slots = [
                threading.Thread(target=self._work, args=(configs, outcomes, waiting, stopping), daemon=True)
                for _ in range(min(self.slots, len(configs)))
            ]
            self.pids: dict[threading.Thread, int] = {}
            for slot in slots:
                slot.start()
            told = False
            while any(slot.is_alive() for slot in slots):
                slots[0].join(0.2)
                for slot in slots:
                    slot.join(0.01)
                if stopping.signum is not None and not told:
                    told = True
                    for pid in self.pids.values():
                        _tell(pid)
        return outcomes

    def _work(
        self,
        configs: list[Config],
        outcomes: list[Outcome | None],
        waiting: "queue.SimpleQueue[int]",
        stopping: Stopping,
    ) -> None:
        pool: ProcessPoolExecutor | None = None
        while stopping.signum is None:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                break
            if pool is None:
                pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_ignore_interrupts)
                self.pids[threading.current_thread()] = pool.submit(os.getpid).result()
            label = f"[{number + 1}/{len(configs)}] "
            future: Future[Outcome] = pool.submit(attempt, configs[number], label=label, workers=self.slots, bar=False)
            try:
                outcomes[number] = future.result()
            except BrokenProcessPool:
                outcomes[number] = Outcome(1, "its process was killed, perhaps because memory ran out")
                pool = None
        if pool is not None:
            pool.shutdown(wait=stopping.signum is None)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; between runs the parent alone decides. A run takes them itself."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _tell(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
