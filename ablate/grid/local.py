"""`hydra/launcher=joblib`: several runs of a grid at once, in processes of this machine."""

import os
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from itertools import takewhile
from multiprocessing.connection import wait

from ablate.base.errors import AblateError, ConfigError, one_line
from ablate.base.machine import cores
from ablate.base.process import POLL, Worker
from ablate.base.signals import SIGNALS
from ablate.base.terminal import say
from ablate.grid import packing
from ablate.grid.launcher import RecordLauncher, complete, stop_if_failed
from ablate.runs.attempt import Outcome, attempt
from ablate.runs.record import Record
from ablate.runs.stopping import Stopping
from ablate.tracking.follower import tracker


class ProcessLauncher(RecordLauncher):
    """`n_jobs` runs at once; for -1 as many as there are GPUs, or cores on a machine without.

    A process that dies ends only its current run.
    """

    def __init__(self, n_jobs: int) -> None:
        if type(n_jobs) is not int or (n_jobs < 1 and n_jobs != -1):
            raise ConfigError(f"hydra.launcher.n_jobs={n_jobs} is invalid: use 1 or more, or -1 for all GPUs or cores")
        self.slots = n_jobs

    def carry_out(self, records: list[Record]) -> list[Outcome]:
        outcomes: list[Outcome | None] = [None] * len(records)
        waiting = deque(range(len(records)))
        workers: dict[int, Worker] = {}  # by slot; a worker is reused for the slot's next run
        running: dict[int, int] = {}  # the run of each busy slot
        with Stopping() as stopping, ExitStack() as stack:  # a second Ctrl-C makes the stack kill the workers
            # Even if fewer runs are left: a run's threads depend on this number, and its bits on its threads.
            if records[0].config.pack is not None or self.slots == -1:
                self.slots = packed(records, stopping)
            devices = assigned_devices(records, self.slots)[: len(records)]
            while running or (waiting and stopping.signum is None):
                for slot, device in enumerate(devices):
                    if slot in running or not waiting or stopping.signum is not None:
                        continue
                    number = waiting.popleft()
                    try:
                        if slot not in workers:
                            started = Worker(_begin, device, _carry_out, ignored=SIGNALS)
                            workers[slot] = stack.enter_context(started)
                        workers[slot].send(records[number], f"[{number + 1}/{len(records)}] ", self.slots)
                        running[slot] = number
                    except Exception as error:  # no process can be started, say; the other slots continue
                        outcomes[number] = outcome = Outcome(1, one_line(error))
                        stop_if_failed(stopping, records[number], outcome)
                wait([workers[slot].connection for slot in running], POLL)
                for slot, number in list(running.items()):
                    worker = workers[slot]
                    if worker.done():
                        del running[slot]
                        try:
                            outcome = worker.result()
                        except AblateError as error:
                            outcome = Outcome(1, str(error))
                            del workers[slot]
                        outcomes[number] = outcome
                        stop_if_failed(stopping, records[number], outcome)
                        if not waiting:
                            worker.close()  # frees its memory
                    elif stopping.signum is not None:  # repeatedly, because a run that is just beginning ignores it
                        worker.process.terminate()
            return complete(outcomes, stopping)


def packed(records: list[Record], stopping: Stopping) -> int:
    """How many runs at once `pack` gives, over all devices; prints what `auto` chose. 0 if stopped by a signal.

    Without `pack` one for each GPU, or for each core if no run is on a GPU. Raises ConfigError if a device is missing.
    """
    devices = list(dict.fromkeys(assigned_devices(records, len(gpus()) or 1)))
    pack = records[0].config.pack
    if pack is None:
        from ablate.training.device import pick_device

        kinds = {record.config.device.partition(":")[0] for record in records}
        return cores() if {pick_device(kind).type for kind in kinds} == {"cpu"} else len(devices)
    if pack != "auto":
        return int(pack) * len(devices)
    share = max(1, cores() // len(devices))
    trials = packing.trials(records, devices[0], share, lambda: stopping.signum is not None)
    if not trials:
        return 0
    say(packing.describe(trials))
    return packing.best(trials).runs * len(devices)


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = (name.strip() for name in visible.split(",") if name.strip())
        return list(takewhile(lambda name: not name.startswith("-"), names))  # as CUDA: -1 hides the others
    import torch

    # Not by the numbers in /dev: a container that is given /dev/nvidia3 alone has GPU 0.
    return [str(number) for number in range(torch.cuda.device_count())]


def assigned_devices(records: list[Record], slots: int) -> list[str | None]:
    """The GPU of each slot, in turn, as CUDA_VISIBLE_DEVICES names it; None if every GPU is to be visible.

    GPUs are not assigned if a run names its device, as in device=cuda:1.
    """
    devices = gpus()
    if not devices or any(record.config.device not in ("auto", "cuda") for record in records):
        return [None] * slots
    return [devices[slot % len(devices)] for slot in range(slots)]


def _begin(device: str | None, carry_out: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """In a worker: choose its GPU before torch is imported."""
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    return carry_out


def _carry_out(record: Record, label: str, workers: int) -> Outcome:
    return attempt(record, tracker(record.config), label=label, workers=workers, bar=False)
