"""What computed a run: device, precision, versions, and the state of the source."""

import functools
import os
import platform
import socket
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGE = Path(__file__).resolve().parents[1]
SOURCE = ("ablate", "conf")
PACKAGES = ("torch", "torchvision", "numpy", "hydra-core")


def session(step: int, device: torch.device, precision: torch.dtype, threads: int) -> dict[str, Any]:
    """What computes a run from `step` on, as plain values that a checkpoint can hold: one session of the run."""
    return {
        "step": step,
        "started": utc(),
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "device_type": device.type,
        "precision": str(precision).removeprefix("torch."),
        "threads": threads,
        "graph": False,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "git": git(),
    }


def utc() -> str:
    """The time now."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@functools.cache
def git() -> dict[str, str | bool | None] | None:
    """The commit of the package's checkout and whether it had changes, or None outside a checkout."""
    top = _ask("rev-parse", "--show-toplevel")
    if top is None or PACKAGE.parent.resolve() != Path(top.strip()).resolve():
        return None  # installed, perhaps inside another repository
    commit, changes = _ask("rev-parse", "HEAD"), _ask("status", "--porcelain", "--", *SOURCE)
    return None if commit is None else {"commit": commit.strip(), "dirty": None if changes is None else bool(changes)}


@functools.cache
def git_diff() -> str | None:
    """The uncommitted changes of the source, new files included, or None if there are none."""
    state = git()
    if not state or not state["dirty"]:
        return None
    new = (_ask("ls-files", "--others", "--exclude-standard", "--", *SOURCE) or "").splitlines()
    untracked = "".join(_ask("diff", "--no-index", "--", os.devnull, name) or "" for name in new)
    return ((_ask("diff", "HEAD", "--", *SOURCE) or "") + untracked) or None


def _ask(*words: str) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", PACKAGE.parent, *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 or words[:2] == ("diff", "--no-index") else None
