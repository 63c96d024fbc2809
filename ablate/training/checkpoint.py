"""All that a resumed run needs, in one file that is whole or known to be broken.

A checkpoint is torch's own format followed by a line with the SHA-256 of what stands before it; torch.load reads past
that line. Two are kept: `checkpoint.pt`, and `checkpoint.old.pt` from the time before.
"""

import contextlib
import hashlib
import io
import random
from pathlib import Path
from typing import Any

import numpy
import torch

from ablate.files import write_whole

NEW, OLD = "checkpoint.pt", "checkpoint.old.pt"
MARK = b"\nablate-sha256:"
SCHEMA = 3
"""Raised when a checkpoint comes to hold something else; one of before is not gone on from."""


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` as the newest checkpoint; the one before becomes the old one.

    Raises OSError; what was the newest is then still there, as the new or as the old one.
    """
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **state}, buffer)
    content = buffer.getvalue()
    sealed = content + MARK + hashlib.sha256(content).hexdigest().encode()

    def keep_old() -> None:  # only once the new one is safe on disk under its temporary name
        if (folder / NEW).exists():
            (folder / NEW).replace(folder / OLD)

    write_whole(folder / NEW, sealed, before_rename=keep_old)


def save_weights(folder: Path, net: torch.nn.Module) -> None:
    """The trained net alone, for whoever wants to look into it: torch.load(..., weights_only=True)."""
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    with contextlib.suppress(OSError):  # a full disk: the result is what counts, and will say so itself
        write_whole(folder / "weights.pt", buffer.getvalue())


def remove(folder: Path) -> None:
    """A run that has ended needs no checkpoint."""
    for name in (NEW, OLD):
        (folder / name).unlink(missing_ok=True)


def load(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest whole checkpoint, or None, and a warning for each broken one, which is set aside as NAME.broken."""
    warnings: list[str] = []
    for name in (NEW, OLD):
        path = folder / name
        if not path.exists():
            continue
        try:
            return _read(path), warnings
        except (OSError, MemoryError):
            raise  # the file may be whole, and cannot be read now
        except Exception as error:  # whatever a torn or foreign file makes torch raise
            aside = path.with_suffix(".pt.broken")
            path.replace(aside)
            warnings.append(f"{path} is broken ({error}): set aside as {aside.name}, going on from what was before it")
    return None, warnings


def _read(path: Path) -> dict[str, Any]:
    content, mark, digest = path.read_bytes().rpartition(MARK)
    if not mark or hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("its checksum does not fit")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state["schema"] != SCHEMA:
        raise ValueError(f"schema {state['schema']}, where this version reads {SCHEMA}")
    return dict(state)


def seed_generators(seed: int) -> None:
    """Seed every generator that a shortcut may draw from: torch's on all devices, Python's, NumPy's."""
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
    """Set the generators to `states`, which were taken on a device of the same kind."""
    torch.set_rng_state(states["torch"])
    version, inner, gauss = states["python"]
    random.setstate((version, tuple(inner), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    numpy.random.set_state((name, keys.numpy().astype(numpy.uint32), position, has_gauss, cached))
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["mps"])


def weights_sha256(net: torch.nn.Module) -> str:
    """A hash of every parameter, buffer and extra state, names included: equal only for nets equal in every bit.

    Raises TypeError for extra state that is not made of tensors and plain values.
    """
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def check(net: torch.nn.Module) -> None:
    """Raise where a state of `net` could not be hashed, or saved and read back: before its training, not after it."""
    weights_sha256(net)
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    net.load_state_dict(torch.load(buffer, map_location="cpu", weights_only=True))


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
