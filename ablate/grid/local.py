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
    """`n_jobs` runs at once, -1 for as many as there are cores; each slot is a process that is reused for later runs.

    Every slot has a pool of its own: a process that dies takes its run with it and no other.
    """

    __module__ = "hydra_plugins.ablate"  # see `register` in ablate/grid/sweeper.py

    def __init__(self, n_jobs: int) -> None:
        if type(n_jobs) is not int or (n_jobs < 1 and n_jobs != -1):
            raise ConfigError(f"hydra.launcher.n_jobs={n_jobs} is out of range: give 1 or more, or -1 for all cores")
        # Not fewer if fewer runs are left: threads depend on this number, and a run's bits on its threads.
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
                        if stopping.signum is not None:  # repeatedly: a run may have begun since
                            slot.stop_run()
            except KeyboardInterrupt:  # the second: otherwise the processes would train to their end
                for process in active_children():
                    process.kill()
                raise
            return complete(outcomes, stopping)


class _Slot(threading.Thread):
    """Takes runs from `waiting`, one at a time, into a process of its own."""

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
            except Exception as error:  # for example, no process can be started: the other runs go on
                self.outcomes[number] = Outcome(1, one_line(error))
        self.pid = None  # from here on the number may be another process's
        if pool is not None:
            pool.shutdown()

    def stop_run(self) -> None:
        """Ask the current run to stop. A process between two runs ignores the signal."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


def packed(records: list[Record], stopping: Stopping) -> int:
    """Runs at once as `pack` asks for, counted over all devices; prints what `auto` chose. 0 if it was stopped."""
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
    """The GPU of each slot in turn, as CUDA_VISIBLE_DEVICES names it. None: every GPU is visible.

    A run that names its own GPU, as device=cuda:1, was assigned by hand.
    """
    devices = gpus()
    if not devices or any(record.config.device not in ("auto", "cuda") for record in records):
        return [None] * slots
    return [devices[slot % len(devices)] for slot in range(slots)]


_busy = threading.Lock()
"""In a worker process: held while it carries out a run."""


def _begin(device: str | None) -> None:
    """Prepare a worker process: before torch is imported it gets the one GPU that it may see.

    Ctrl-C reaches every process of a terminal; between runs the parent alone handles it. A run handles signals itself.
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
    """When the parent has died, stop the current run, which writes its checkpoint, and end this process.

    Otherwise it would wait for its next run for ever: the queue is never closed.
    """
    parent = parent_process()
    assert parent is not None
    parent.join()
    while not _busy.acquire(timeout=1.0):
        os.kill(os.getpid(), signal.SIGTERM)  # repeatedly: a run that is only beginning ignores it
    os._exit(1)
