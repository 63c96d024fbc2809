"""The cores and GPUs of this machine, and a description of it for measurements."""

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


def describe() -> dict[str, str]:
    """This machine, for the readers of a benchmark. Imports torch."""
    import platform

    import psutil
    import torch

    found = {
        "processor": _processor(),
        "cores": str(cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
    }
    if torch.cuda.is_available():
        found["GPU"] = torch.cuda.get_device_name()
    return found


def _processor() -> str:
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
