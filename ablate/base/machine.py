"""The cores and GPUs of this machine."""

import os
from pathlib import Path


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them. Calls no driver and imports no torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip()]
    return sorted((path.name[6:] for path in Path("/dev").glob("nvidia[0-9]*")), key=int)


def cores() -> int:
    """The processor cores that this process may use."""
    # On a cluster without cgroups a task sees every core of its node.
    given = os.environ.get("SLURM_CPUS_PER_TASK", "")
    if given.isdigit():
        return int(given)
    import loky

    return int(loky.cpu_count())  # affinity and a container's CPU limit included
