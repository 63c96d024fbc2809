"""Where the runs of a grid are carried out: here one after another, or in several processes of this machine.

Each launcher is a choice of `hydra/launcher`. The sweeper gives it runs that are composed and checked.
"""

import contextlib
import os
import queue
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from ablate import packing
from ablate.config import Config
from ablate.errors import ConfigError, one_line
from ablate.machine import cores, gpus
from ablate.runs.attempt import Outcome, attempt
from ablate.runs.stopping import SIGNALS, Stopping, hear, unheard
from ablate.terminal import say, watched


class RecordLauncher(Launcher):
    """A launcher that is handed whole configurations instead of overrides to compose again."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Nothing of Hydra's is needed to carry out what is composed already."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        raise ConfigError("this launcher works with the sweeper of ablate alone: leave hydra/sweeper as it is")

    def carry_out(self, configs: list[Config]) -> list[Outcome] | None:
        """One outcome a run; a run that was not begun because a signal asked to stop counts as interrupted.

        None where the runs go on without this process.
        """
        raise NotImplementedError


class SerialLauncher(RecordLauncher):
    """One run after another, in this process."""

    __module__ = "hydra_plugins.ablate"  # see `register` in ablate/grid.py

    def carry_out(self, configs: list[Config]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(configs)
        with Stopping() as stopping:
            for number, config in enumerate(configs):
                if stopping.signum is None:
                    label = f"[{number + 1}/{len(configs)}] "
                    outcome = attempt(config, label=label, workers=1, bar=watched())
                    outcomes[number] = outcome
                    if outcome.interrupted:  # the run has answered the signal; the grid stops with it
                        stopping.signum = outcome.status - 128
            return _settled(outcomes, stopping)


class ProcessLauncher(RecordLauncher):
    """`n_jobs` runs at once, -1 for as many as there are cores; each slot is a process that stays warm between runs.

    Every slot has a pool of its own: a process that dies takes its run with it and no other.
    """

    __module__ = "hydra_plugins.ablate"

    def __init__(self, n_jobs: int = -1) -> None:
        if type(n_jobs) is not int or (n_jobs < 1 and n_jobs != -1):
            raise ConfigError(
                f"hydra.launcher.n_jobs={n_jobs} is no number of runs: give 1 or more, or -1 for all cores"
            )
        # Not fewer where fewer runs are left: threads follow from this, and the bits of a run follow from its threads.
        self.slots = cores() if n_jobs == -1 else n_jobs

    def carry_out(self, configs: list[Config]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(configs)
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(configs)):
            waiting.put(number)
        with Stopping() as stopping:
            if configs[0].pack is not None:
                self.slots = packed(configs, stopping) or self.slots
            devices = shared_out(configs, self.slots)
            slots = [
                _Slot(self.slots, configs, outcomes, waiting, stopping, devices[number])
                for number in range(min(self.slots, len(configs)))
            ]
            for slot in slots:
                slot.start()
            try:
                while any(slot.is_alive() for slot in slots):
                    for slot in slots:
                        slot.join(0.5 / len(slots))
                        if stopping.signum is not None:  # again and again: a run may have begun since
                            slot.tell()
            except KeyboardInterrupt:  # the second: they would be waited for, and train to their end
                for process in active_children():
                    process.kill()
                raise
            return _settled(outcomes, stopping)


class _Slot(threading.Thread):
    """Takes runs from `waiting`, one at a time, into a process of its own."""

    def __init__(
        self,
        workers: int,
        configs: list[Config],
        outcomes: list[Outcome | None],
        waiting: "queue.SimpleQueue[int]",
        stopping: Stopping,
        device: str | None,
    ) -> None:
        super().__init__(daemon=True)
        self.workers, self.configs, self.outcomes = workers, configs, outcomes
        self.waiting, self.stopping, self.device = waiting, stopping, device
        self.pid: int | None = None

    def run(self) -> None:
        pool: ProcessPoolExecutor | None = None
        while self.stopping.signum is None:
            try:
                number = self.waiting.get_nowait()
            except queue.Empty:
                break
            try:
                if pool is None:
                    pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_begin, initargs=(self.device,))
                    with unheard():
                        first = pool.submit(os.getpid)
                    self.pid = first.result()
                label = f"[{number + 1}/{len(self.configs)}] "
                future: Future[Outcome] = pool.submit(_carry_out, self.configs[number], label, self.workers)
                self.outcomes[number] = future.result()
            except BrokenProcessPool:
                self.outcomes[number] = Outcome(1, "its process was killed, perhaps because memory ran out")
                pool = self.pid = None
            except Exception as error:  # as where no process can be started: the other runs go on
                self.outcomes[number] = Outcome(1, one_line(error))
        self.pid = None  # from here on the number may be another's
        if pool is not None:
            pool.shutdown()

    def tell(self) -> None:
        """Ask the run under way to stop. A process between two runs does not listen."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def _settled(outcomes: list[Outcome | None], stopping: Stopping) -> list[Outcome]:
    """Every run has its outcome; where a signal stopped the grid, what it cut short carries that signal's status."""
    if stopping.signum is None:
        return [outcome or Outcome(1, "nobody carried it out") for outcome in outcomes]
    stopping.answered = True
    cut = Outcome(128 + stopping.signum, "not begun", interrupted=True)
    return [cut if outcome is None or outcome.interrupted else outcome for outcome in outcomes]


def packed(configs: list[Config], stopping: Stopping) -> int:
    """How many runs at once `pack` asks for, so many a device; says what `auto` has chosen. 0 where it was stopped."""
    devices = list(dict.fromkeys(shared_out(configs, len(gpus()) or 1)))
    if configs[0].pack != "auto":
        return int(configs[0].pack or 1) * len(devices)
    share = max(1, cores() // len(devices))
    done = packing.trials(configs, devices[0], share, lambda: stopping.signum is not None)
    if not done:
        return 0
    say(packing.describe(done))
    return packing.best(done).runs * len(devices)


def shared_out(configs: list[Config], slots: int) -> list[str | None]:
    """The GPU of each slot, as CUDA_VISIBLE_DEVICES names it: the slots take turns. None: all that there are.

    A run that names its own, as device=cuda:1, has been shared out by hand.
    """
    devices = gpus()
    if not devices or any(config.device not in ("auto", "cuda") for config in configs):
        return [None] * slots
    return [devices[slot % len(devices)] for slot in range(slots)]


_busy = threading.Lock()
"""In a worker: held while it carries out a run."""


def _begin(device: str | None) -> None:
    """What a worker does first: before torch is imported it is given the one GPU that it is to see.

    Ctrl-C reaches every process of a terminal; between runs the parent alone decides. A run takes signals itself.
    """
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    hear()
    threading.Thread(target=_outlive_nobody, daemon=True, name="orphan").start()


def _carry_out(config: Config, label: str, workers: int) -> Outcome:
    with _busy:
        return attempt(config, label=label, workers=workers, bar=False)


def _outlive_nobody() -> None:
    """When the parent is gone, killed perhaps, a run under way writes its checkpoint and the process ends.

    It would wait for its next run forever otherwise: nobody closes the queue.
    """
    parent = parent_process()
    assert parent is not None
    parent.join()
    while not _busy.acquire(timeout=1.0):
        os.kill(os.getpid(), signal.SIGTERM)  # again and again: a run that is just beginning does not listen yet
    os._exit(1)
