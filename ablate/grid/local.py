"""`hydra/launcher=joblib`: several runs of a grid at once, in processes of this machine."""

import contextlib
import os
import queue
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process

from ablate.base.errors import ConfigError, one_line
from ablate.base.machine import cores, gpus
from ablate.base.signals import SIGNALS, signals_blocked, unblock_signals
from ablate.base.terminal import say
from ablate.grid import packing
from ablate.grid.launcher import RecordLauncher, complete
from ablate.runs.attempt import Outcome, attempt
from ablate.runs.record import Record
from ablate.runs.stopping import Stopping
from ablate.tracking.follower import tracker


class ProcessLauncher(RecordLauncher):
    """`n_jobs` runs at once, or as many as there are cores for -1. Each slot reuses one process for its runs.

    Every slot has a pool of its own, so that a process that dies ends its own run only.
    """

    __module__ = "hydra_plugins.ablate"  # see `register` in ablate/grid/sweeper.py

    def __init__(self, n_jobs: int) -> None:
        if type(n_jobs) is not int or (n_jobs < 1 and n_jobs != -1):
            raise ConfigError(f"hydra.launcher.n_jobs={n_jobs} is out of range: give 1 or more, or -1 for all cores")
        # Even if fewer runs are left: a run's threads depend on this number, and its bits on its threads.
        self.slots = cores() if n_jobs == -1 else n_jobs

    def carry_out(self, records: list[Record]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(records)
        waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(records)):
            waiting.put(number)
        with Stopping() as stopping:
            if records[0].config.pack is not None:
                self.slots = packed(records, stopping) or self.slots
            devices = assigned_devices(records, self.slots)
            slots = [
                _Slot(self.slots, records, outcomes, waiting, stopping, devices[number])
                for number in range(min(self.slots, len(records)))
            ]
            for slot in slots:
                slot.start()
            try:
                while any(slot.is_alive() for slot in slots):
                    for slot in slots:
                        slot.join(0.5 / len(slots))
                        if stopping.signum is not None:  # repeatedly, because another run may have begun
                            slot.stop_run()
            except KeyboardInterrupt:  # a second Ctrl-C: without this, the processes would train to the end
                for process in active_children():
                    process.kill()
                raise
            return complete(outcomes, stopping)


class _Slot(threading.Thread):
    """Carries out runs from `waiting`, one at a time, in a process of its own."""

    def __init__(
        self,
        workers: int,
        records: list[Record],
        outcomes: list[Outcome | None],
        waiting: "queue.SimpleQueue[int]",
        stopping: Stopping,
        device: str | None,
    ) -> None:
        super().__init__(daemon=True)
        self.workers, self.records, self.outcomes = workers, records, outcomes
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
                    with signals_blocked():
                        first = pool.submit(os.getpid)
                    self.pid = first.result()
                label = f"[{number + 1}/{len(self.records)}] "
                future: Future[Outcome] = pool.submit(_carry_out, self.records[number], label, self.workers)
                self.outcomes[number] = future.result()
            except BrokenProcessPool:
                self.outcomes[number] = Outcome(1, "its process was killed, perhaps because memory ran out")
                pool = self.pid = None
            except Exception as error:  # no process can be started, say; the other slots continue
                self.outcomes[number] = Outcome(1, one_line(error))
        self.pid = None  # the number may be reused from here on
        if pool is not None:
            pool.shutdown()

    def stop_run(self) -> None:
        """Send SIGTERM to the current run. A process between two runs ignores it."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def packed(records: list[Record], stopping: Stopping) -> int:
    """How many runs at once `pack` gives, over all devices; prints what `auto` chose. 0 if stopped by a signal."""
    devices = list(dict.fromkeys(assigned_devices(records, len(gpus()) or 1)))
    pack = records[0].config.pack
    if pack != "auto":
        return int(pack or 1) * len(devices)
    share = max(1, cores() // len(devices))
    trials = packing.trials(records, devices[0], share, lambda: stopping.signum is not None)
    if not trials:
        return 0
    say(packing.describe(trials))
    return packing.best(trials).runs * len(devices)


def assigned_devices(records: list[Record], slots: int) -> list[str | None]:
    """The GPU of each slot, in turn, as CUDA_VISIBLE_DEVICES names it; None if every GPU is to be visible.

    GPUs are not assigned if a run names its device, as in device=cuda:1.
    """
    devices = gpus()
    if not devices or any(record.config.device not in ("auto", "cuda") for record in records):
        return [None] * slots
    return [devices[slot % len(devices)] for slot in range(slots)]


_busy = threading.Lock()
"""Held by a worker process during a run."""


def _begin(device: str | None) -> None:
    """Initialise a worker process: choose its GPU before torch is imported, and ignore signals between runs.

    Ctrl-C reaches every process of a terminal. The parent handles it; during a run, the run does as well.
    """
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    unblock_signals()
    threading.Thread(target=_end_with_parent, daemon=True, name="orphan").start()


def _carry_out(record: Record, label: str, workers: int) -> Outcome:
    with _busy:
        return attempt(record, tracker(record.config), label=label, workers=workers, bar=False)


def _end_with_parent() -> None:
    """Once the parent has died, stop the current run, which writes a checkpoint, and end this process.

    Without this it would wait for its next run for ever, because the queue is never closed.
    """
    parent = parent_process()
    assert parent is not None
    parent.join()
    while not _busy.acquire(timeout=1.0):
        os.kill(os.getpid(), signal.SIGTERM)  # repeatedly, because a run that is just beginning ignores it
    os._exit(1)
