"""What computed a run: device, precision, CPU, versions, and the state of the source."""

import functools
import multiprocessing
import os
import platform
import shlex
import socket
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ablate.base.terminal import say
from ablate.base.version import __version__
from ablate.runs.code import custom_files

PACKAGE = Path(__file__).resolve().parents[1]
SOURCE = ("ablate", "conf")
PACKAGES = ("torch", "torchvision", "numpy", "hydra-core")
ISA_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")
"""Variables that make torch's libraries use a smaller instruction set than the processor's."""


def session(
    step: int, device: torch.device, precision: torch.dtype, *, threads: int, processes: int, code: dict[str, str]
) -> dict[str, Any]:
    """What computes a run from `step` on, as plain values that a checkpoint can hold: one session of the run."""
    return {
        "step": step,
        "started": utc(),
        "host": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "device_type": device.type,
        "cpu": cpu(),
        "precision": str(precision).removeprefix("torch."),
        "threads": threads,
        "processes": processes,
        "graph": False,
        "versions": versions(),
        "code": code,
        "git": git(),
    }


def command() -> str:
    """The command line of this process, quoted for a shell: `ablate WORDS`, `python -m ablate WORDS`, or a program's.

    A process of a grid has the `sys.argv` of the command that started the grid.
    """
    program, *words = sys.argv
    if Path(program).resolve() == PACKAGE / "__main__.py":
        return shlex.join(["python", "-m", "ablate", *words])
    if Path(program).name == "ablate":
        return shlex.join(["ablate", *words])
    # As typed: sys.argv lacks what follows -c, and the -m of a module. A process of multiprocessing was not typed.
    typed = multiprocessing.parent_process() is None
    return shlex.join(sys.orig_argv if typed else [sys.executable, *sys.argv])


def utc() -> str:
    """The time now."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@functools.cache
def versions() -> dict[str, str]:
    """Of this package, of Python and of the packages that compute."""
    return {"ablate": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


@functools.cache
def cpu() -> str:
    """The processor and the instruction set that torch uses, which decide the bits of a result."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        number = " ".join(facts[key] for key in ("cpu family", "model", "stepping") if key in facts)
        name = f"{facts.get('model name', platform.machine())}{number and f' ({number})'}"
    except OSError:  # macOS
        name = platform.processor() or platform.machine()
    limits = [f"{key}={os.environ[key]}" for key in ISA_LIMITS if key in os.environ]
    return ", ".join([name, torch.backends.cpu.get_cpu_capability(), *limits])


@functools.cache
def git() -> dict[str, str | bool | None] | None:
    """The commit of the package's checkout and whether it had changes, or None outside a checkout."""
    top = _ask("rev-parse", "--show-toplevel")
    if top is None and (PACKAGE.parent / ".git").exists():  # no git, or a checkout that belongs to another user
        where = shlex.quote(str(PACKAGE.parent))
        say(f"ablate: the commit is not recorded, because git cannot read it: see git -C {where} status", error=True)
    if top is None or PACKAGE.parent.resolve() != Path(top.strip()).resolve():
        return None  # installed, perhaps inside another repository
    commit, changes = _ask("rev-parse", "HEAD"), _ask("status", "--porcelain", "--", *SOURCE)
    return None if commit is None else {"commit": commit.strip(), "dirty": None if changes is None else bool(changes)}


def custom_git(tree: dict[str, Any]) -> dict[str, Any] | None:
    """The commit of the repository that custom code is in and whether it has changes; None if there is neither."""
    for file in custom_files(tree).values():
        if (commit := _ask("rev-parse", "HEAD", of=file.parent)) is not None:
            places = (str(file.parent), ":(exclude,glob)**/__pycache__/**")  # importing the code makes it
            changes = _ask("status", "--porcelain", "--", *places, of=file.parent)
            return {"commit": commit.strip(), "dirty": None if changes is None else bool(changes)}
    return None


@functools.cache
def git_diff() -> str | None:
    """The uncommitted changes of the source, new files included, or None if there are none."""
    state = git()
    if not state or not state["dirty"]:
        return None
    new = (_ask("ls-files", "--others", "--exclude-standard", "--", *SOURCE) or "").splitlines()
    untracked = "".join(_ask("diff", "--no-index", "--", os.devnull, name) or "" for name in new)
    return ((_ask("diff", "HEAD", "--", *SOURCE) or "") + untracked) or None


def _ask(*words: str, of: Path = PACKAGE.parent) -> str | None:
    try:
        answer = subprocess.run(["git", "-C", of, *words], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout if answer.returncode == 0 or words[:2] == ("diff", "--no-index") else None
