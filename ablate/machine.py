"""What this machine has."""

import os


def cores() -> int:
    """The processor cores that this process may use."""
    # A cluster without cgroups shows every core of the node, whatever the task was given.
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if given.isdigit():
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
