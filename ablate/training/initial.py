"""Weights from a file: a run's, or those of a release. Nothing that a file holds is executed."""

import hashlib
import io
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ablate.base.errors import ConfigError
from ablate.base.files import FINGERPRINT
from ablate.config.schema import Config
from ablate.models.weights import fit

SAFETENSORS = ".safetensors"


def initialise(network: nn.Module, config: Config) -> None:
    """Give `network` the weights of `config.init_from`, if it has some. Raises as `load_weights`."""
    if config.init_from is not None:
        load_weights(network, Path(config.init_from), f"init_from={config.init_from}", config.init_fingerprint)


def load_weights(network: nn.Module, path: Path, what: str, fingerprint: str | None = None) -> None:
    """Give `network` the weights in a file, in the names of this package or of a release.

    Raises ConfigError, whose sentence begins with `what`, if the file cannot be read, holds code, does not fit the
    network, or has another content than `fingerprint`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{what} cannot be read: {error.strerror}") from error
    if fingerprint and hashlib.sha256(content).hexdigest()[:FINGERPRINT] != fingerprint:
        raise ConfigError(f"{what} changed after it was read: run the command again")
    network.load_state_dict(fit(_parse(content, path, what), network, what))


def _parse(content: bytes, path: Path, what: str) -> Any:
    if path.suffix == SAFETENSORS:
        from safetensors import SafetensorError
        from safetensors import torch as safetensors

        try:
            return safetensors.load(content)
        except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a type that torch has not
            raise ConfigError(f"{what} is not a whole safetensors file: write it again") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about formats of old versions, which are read
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # torch raises anything for a torn or foreign file
        code = re.search(r"GLOBAL ([\w.]+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if code:
            raise ConfigError(
                f"{what} holds a pickled {code[1]}, and pickled code is not run: save the state_dict alone"
            ) from error
        raise ConfigError(
            f"{what} is not a whole checkpoint of torch: save the state_dict again, or name another file"
        ) from error
