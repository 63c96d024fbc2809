"""What computes, and in which precision."""

import os

import torch

from ablate.errors import ConfigError


def pick_device(name: str) -> torch.device:
    """`auto` is the first of cuda, mps and cpu that is there. Raises ConfigError for one that is not."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[device.type]
    if (device.index or 0) >= count:
        here = f"{count} of that kind" if count else "none"
        raise ConfigError(f"device={name} is not here (this machine has {here}): use device=auto or device=cpu")
    return device


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 autocast on a GPU that computes in it, float32 elsewhere."""
    if name == "auto":
        name = (
            "bfloat16"
            if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
            else "float32"
        )
    # Without this a GPU's float32 convolutions are TF32, of 11 bits.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def make_deterministic(device: torch.device) -> None:
    """The same bits from the same run on a GPU too, at some cost in speed; a CPU gives them anyway."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
        torch.backends.cudnn.benchmark = False
        torch.use_deterministic_algorithms(True)
