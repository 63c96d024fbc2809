"""What ran: versions and the state of the source."""

import functools
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "hydra-core")


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


@functools.cache
def git() -> dict[str, str | bool] | None:
    """The commit of the package's checkout and whether it had changes, or None outside a checkout."""
    here = Path(__file__).parent
    try:
        lines = [
            subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "--show-toplevel"], ["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]
    except (OSError, subprocess.CalledProcessError):
        return None
    if here.parents[1].resolve() != Path(lines[0]).resolve():
        return None  # installed in a folder of somebody else's repository
    return {"commit": lines[1], "dirty": bool(lines[2])}
