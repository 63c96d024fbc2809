"""The device of a run, its precision, and its memory."""

import ctypes
import os

import torch

from ablate.base.errors import ConfigError
from ablate.models.network import Network


def pick_device(name: str) -> torch.device:
    """The device; `auto` is the first of cuda, mps and cpu that exists. Raises ConfigError if it is missing."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        here = f"{count} of that kind" if count else "none"
        raise ConfigError(f"device={name} is not available (this machine has {here}): use device=auto or device=cpu")
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # streams, graphs and memory are used without naming a device
    return device


SMALL = 16
"""Pixels a side below which bfloat16 makes a CPU slower: conversions cost more than it saves (results/bench)."""


def pick_precision(name: str, device: torch.device, shape: tuple[int, int, int]) -> torch.dtype:
    """The precision; `auto` is bfloat16 if the device is faster in it on images (C, H, W), else float32."""
    if name == "auto":
        if device.type == "cuda":
            gains = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            gains = device.type == "cpu" and min(shape[1:]) >= SMALL and _multiplies_bfloat16()
        name = "bfloat16" if gains else "float32"
    # By default a GPU computes float32 convolutions in TF32, with 11 significant bits.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def _multiplies_bfloat16() -> bool:
    return any(
        getattr(torch.cpu, name, bool)()  # private names of torch; without them it is float32
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def compile_units(network: Network) -> None:
    """Compile each residual unit with torch.compile; not the network, because units of one shape share their code."""
    torch._dynamo.reset()  # earlier runs of this process count against the limit
    torch._dynamo.config.recompile_limit = 64  # one per shape, in training and evaluation; beyond it units stay eager
    for _, unit in network.units():
        unit.compile(dynamic=False)


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_memory() -> None:
    """Make glibc keep freed memory, which would otherwise be faulted in again, page by page, in the next step.

    Does nothing without glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)


def make_deterministic(device: torch.device) -> None:
    """Make a GPU give the same bits each time, at some cost in speed. A CPU does so anyway."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)
