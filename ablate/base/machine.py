"""The cores of this machine."""

import os
import time
from typing import NamedTuple

import psutil

from ablate.base.place import place


def cores() -> int:
    """The processor cores that this process may use: in a group of processes its share."""
    # On a cluster without cgroups a task sees every core of its node. The processes of a torchrun are one task.
    given, here = os.environ.get("SLURM_CPUS_PER_TASK", ""), place()
    if given.isdigit():
        return max(1, int(given) // (here.local_size if "TORCHELASTIC_RUN_ID" in os.environ else 1))
    import loky

    return max(1, int(loky.cpu_count()) // here.local_size)  # affinity and a container's CPU limit included


class _Sample(NamedTuple):
    """Seconds: of the clock, of all processors at work, of this process at work."""

    clock: float
    busy: float
    own: float


def _sample() -> _Sample:
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    # Guest time is part of user time.
    return _Sample(time.monotonic(), sum(times[:8]) - idle, time.process_time())


_before = _sample()
WINDOW = 0.1
"""Seconds over which the use of processors is measured, at least: Linux counts it in hundredths of a second."""


def threads(workers: int = 1) -> tuple[int, str]:
    """The threads for one of `workers` runs that share this machine, and why they are fewer than its share of cores.

    OMP_NUM_THREADS, if it is set. Otherwise the share, but for a run alone no more than the cores that other processes
    have left idle since the last call: threads that wait for one without a core stop the whole step.
    """
    global _before
    asked = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, cores() // workers)
    if asked.isdigit() and int(asked) > 0:
        return int(asked), ""
    alone = workers == 1 and place().alone
    if not alone or share == 1 or "SLURM_CPUS_PER_TASK" in os.environ:  # SLURM gave these cores to this task alone
        return share, ""
    time.sleep(max(0.0, WINDOW - (time.monotonic() - _before.clock)))
    now = _sample()
    others = (now.busy - _before.busy - (now.own - _before.own)) / (now.clock - _before.clock)
    _before = now
    idle = (psutil.cpu_count() or share) - others
    chosen = max(1, min(share, round(idle)))
    return chosen, f"other processes use {others:.1f} of {psutil.cpu_count()} cores" if chosen < share else ""
