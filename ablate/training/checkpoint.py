"""Checkpoints: everything that a resumed run needs, in one file with a checksum.

The file is in torch's format, followed by a line with the SHA-256 of what precedes it, which torch.load ignores. The
newest checkpoint and the one before are kept.
"""

import hashlib
import io
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy
import torch

from ablate.base.files import write_whole

MARK = b"\nablate-sha256:"
SCHEMA = 5
"""Version of the content. Checkpoints of other versions are not resumed from."""


def save(path: Path, previous: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path`, after renaming the checkpoint that is there to `previous`.

    Raises OSError; the newest checkpoint before is then still there, under one of the two names.
    """
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **state}, buffer)
    content = buffer.getvalue()
    sealed = content + MARK + hashlib.sha256(content).hexdigest().encode()

    def rename(new: str, path: Path) -> None:  # called once the new one is on disk under its temporary name
        if path.exists():
            path.replace(previous)
        Path(new).replace(path)

    write_whole(path, sealed, rename=rename)


def save_weights(path: Path, network: torch.nn.Module) -> None:
    """Write the network's state, on the CPU, for torch.load(path, weights_only=True). Raises OSError."""
    state = network.state_dict()
    for name, value in state.items():
        state[name] = value.cpu() if isinstance(value, torch.Tensor) else value
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue())


def load(paths: Iterable[Path]) -> tuple[dict[str, Any] | None, list[str]]:
    """The first sound checkpoint of `paths`, or None; and a warning for each broken one, which is renamed."""
    warnings: list[str] = []
    for path in paths:
        if not path.exists():
            continue
        try:
            return _read(path), warnings
        except (OSError, MemoryError):
            raise  # the file need not be broken
        except Exception as error:  # torch raises anything for a torn or foreign file
            broken = path.with_suffix(".pt.broken")
            path.replace(broken)
            warnings.append(f"{path} is broken ({error}): renamed to {broken.name}; resuming from the one before it")
    return None, warnings


def _read(path: Path) -> dict[str, Any]:
    content, mark, digest = path.read_bytes().rpartition(MARK)
    if not mark or hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("checksum mismatch")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state["schema"] != SCHEMA:
        raise ValueError(f"schema {state['schema']}, where this version reads {SCHEMA}")
    return dict(state)


def seed_generators(seed: int) -> None:
    """Seed every generator that a shortcut may use: torch's on all devices, Python's, NumPy's."""
    torch.manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed)


def generators(device: torch.device) -> dict[str, Any]:
    """The state of those generators, as tensors and plain values."""
    name, keys, position, has_gauss, cached = numpy.random.get_state(legacy=True)
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": [name, torch.from_numpy(numpy.asarray(keys, numpy.int64)), position, has_gauss, cached],
    }
    if device.type != "cpu":
        states[device.type] = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.mps.get_rng_state()
    return states


def restore_generators(states: dict[str, Any], device: torch.device) -> None:
    """Set the generators to `states` of a device of the same kind."""
    torch.set_rng_state(states["torch"])
    version, inner, gauss = states["python"]
    random.setstate((version, tuple(inner), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    numpy.random.set_state((name, keys.numpy().astype(numpy.uint32), position, has_gauss, cached))
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def weights_sha256(network: torch.nn.Module) -> str:
    """A hash of names and bits of every parameter, buffer and extra state.

    Raises TypeError for extra state that is not made of tensors and plain values.
    """
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def check(network: torch.nn.Module) -> None:
    """Raise if the state of `network` cannot be hashed, saved and loaded. Called before training."""
    weights_sha256(network)
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    network.load_state_dict(torch.load(buffer, map_location="cpu", weights_only=True))


def _bytes(value: Any) -> bytes:
    if isinstance(value, torch.Tensor):
        plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
        return plain.flatten().view(torch.uint8).numpy().tobytes()  # NumPy has no bfloat16
    if isinstance(value, dict):
        return b"{" + b"".join(_bytes(key) + b":" + _bytes(item) + b"," for key, item in value.items()) + b"}"
    if isinstance(value, (list, tuple)):
        return b"[" + b"".join(_bytes(item) + b"," for item in value) + b"]"
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return repr(value).encode()
    raise TypeError(f"{type(value).__name__} in its state is neither a tensor nor a plain value")
