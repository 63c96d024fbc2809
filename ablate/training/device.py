"""The device of a run, its precision, and its memory."""

import contextlib
import ctypes
import os

import torch
from torch import nn

from ablate.base.errors import ConfigError
from ablate.base.place import ALONE, Place
from ablate.models.network import Network


def pick_device(name: str, here: Place = ALONE) -> torch.device:
    """The device; `auto` is the first of cuda, mps and cpu that exists. Raises ConfigError if it is missing.

    Each process of a group has a GPU of its own.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if name == "cuda" and not here.alone:
        name = f"cuda:{here.local_rank}"
    device = torch.device(name)
    if device.type == "mps" and not here.alone:
        raise ConfigError(f"device=mps is for one process, and these are {here.size}: use device=cpu")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        has = f"{count} of that kind" if count else "none"
        alone = "" if here.alone else f", and {here.local_size} processes need one each"
        raise ConfigError(
            f"device={name} is not available (this machine has {has}{alone}): use device=auto or device=cpu"
        )
    if device.type == "cuda" and device.index is not None:
        torch.cuda.set_device(device)  # streams, graphs and memory are used without naming a device
    return device


def move(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, and its weights of convolutions to the memory format of the images there.

    Parameters and buffers of other dimensions stay as they are: torch would refuse those of five.
    """
    network.to(device)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:
            # `contiguous` would keep the strides of one channel, which are not those of the gradient.
            tensor.data = tensor.data.to(memory_format=torch.channels_last)


def pick_precision(name: str) -> torch.dtype:
    """The precision of the stem and of F: float32, or bfloat16 by autocast."""
    # By default a GPU computes float32 convolutions in TF32, with 11 significant bits.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def compile_units(network: Network, backend: str = "inductor") -> None:
    """Compile each residual unit with torch.compile; not the network, because units of one shape share their code."""
    torch._dynamo.reset()  # earlier runs of this process count against the limit
    torch._dynamo.config.recompile_limit = 64  # one per shape, in training and evaluation; beyond it units stay eager
    for _, unit in network.units():
        unit.compile(dynamic=False, backend=backend)


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_memory() -> None:
    """Make glibc keep freed memory, which would otherwise be faulted in again, page by page, in the next step.

    Does nothing without glibc.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)


def set_deterministic(device: torch.device, deterministic: bool) -> None:
    """Make a GPU give the same bits each time, at some cost in speed, or not. A CPU always does.

    Sets both ways, because a grid's process trains several runs.
    """
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(deterministic)
