"""Variants measured in turns, and the machine on which they were measured."""

import platform
import re
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import torch

from ablate.base.machine import cores
from ablate.base.terminal import say

HARNESS, REFERENCE = "harness", "reference loop"
Variant = Callable[[], float | None]


def compare(
    rounds: int, variants: Mapping[str, Variant], *bases: str, unit: str = "seconds", warm_up: bool = True
) -> dict[str, Any]:
    """Median, min and max over `rounds`, after one to warm up, of each variant's figures and their ratios to `bases`.

    A variant returns its figure, or nothing if the seconds it takes are the figure. Variants take turns and ratios are
    taken within a round, because a machine's speed varies from minute to minute.
    """
    figures: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(1 - warm_up, rounds + 1):
        for name, variant in variants.items():
            began = time.perf_counter()
            figure = variant()
            if number:
                figures[name].append(time.perf_counter() - began if figure is None else figure)
        say(f"  round {number} of {rounds}", error=True)
    return {
        name: {unit: _spread(own)}
        | {f"/ {base}": _spread([a / b for a, b in zip(own, figures[base], strict=True)]) for base in bases}
        for name, own in figures.items()
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def machine() -> dict[str, str]:
    """This machine, for the readers of a benchmark."""
    cpuinfo = Path("/proc/cpuinfo")
    name = re.search(r"model name\s*: (.+)", cpuinfo.read_text() if cpuinfo.exists() else "")
    found = {
        "processor": name[1] if name else platform.processor() or platform.machine(),
        "cores": str(cores()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
    }
    if torch.cuda.is_available():
        found |= {"GPU": torch.cuda.get_device_name(), "CUDA": str(torch.version.cuda)}
    return found
