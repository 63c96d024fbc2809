"""Checkpoints: everything that a resumed run needs, in one file with a checksum.

The file is in torch's format, followed by a line with the SHA-256 of what precedes it, which torch.load ignores. The
newest checkpoint and the one before are kept.
"""

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ablate.base.files import write_whole

MARK = b"\nablate-sha256:"
SCHEMA = 8
"""Version of the content. Checkpoints of other versions are not resumed from."""


def save(path: Path, previous: Path, state: dict[str, Any]) -> None:
    """Write `state` to `path`, after renaming the checkpoint that is there to `previous`.

    Raises OSError; the checkpoint that was there is then at `previous`.
    """
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, **state}, buffer)
    content = buffer.getvalue()
    if path.exists():
        path.replace(previous)
    write_whole(path, content + MARK + hashlib.sha256(content).hexdigest().encode())


def save_weights(path: Path, network: torch.nn.Module) -> None:
    """Move the network to the CPU and write its state for torch.load(path, weights_only=True). Raises OSError."""
    buffer = io.BytesIO()
    torch.save(network.cpu().state_dict(), buffer)
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
            warnings.append(f"{path} is broken ({error}): renamed to {broken.name}")
    return None, warnings


def _read(path: Path) -> dict[str, Any]:
    content, mark, digest = path.read_bytes().rpartition(MARK)
    if not mark or hashlib.sha256(content).hexdigest().encode() != digest:
        raise ValueError("checksum mismatch")
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if state["schema"] != SCHEMA:
        raise ValueError(f"schema {state['schema']}, where this version reads {SCHEMA}")
    return dict(state)


def weights_sha256(network: torch.nn.Module) -> str:
    """A hash of the names and bits of every parameter and buffer, and of every extra state as JSON.

    Raises TypeError for an extra state that is not made of tensors and plain values.
    """
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        if isinstance(value, torch.Tensor):
            plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous()
            digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
        else:
            digest.update(json.dumps(value, default=torch.Tensor.tolist).encode())
    return digest.hexdigest()


def check(network: torch.nn.Module) -> None:
    """Raise if the state of `network` cannot be hashed, saved and loaded. Called before training."""
    weights_sha256(network)
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    buffer.seek(0)
    network.load_state_dict(torch.load(buffer, map_location="cpu", weights_only=True))
