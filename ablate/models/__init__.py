"""Nets: `build` gives the one that a configuration names."""

import functools
from typing import Any

import torch

from ablate.config import Config
from ablate.errors import ConfigError, one_line
from ablate.models.resnet import ResNet
from ablate.seeds import derive
from ablate.source import load

LABELS = ("name", "source", "_target_")


def build(config: Config, *, channels: int, classes: int) -> ResNet:
    """The net of `config`, its initial weights drawn from the seed.

    Raises ConfigError where a shortcut or a unit refuses its parameters.
    """
    torch.manual_seed(derive(config.seed, "shortcuts"))
    try:
        return ResNet(
            config.depth,
            functools.partial(load(config.shortcut["_target_"]), **_parameters(config.shortcut)),
            in_channels=channels,
            classes=classes,
            unit=functools.partial(load(config.unit["_target_"]), **_parameters(config.unit)),
            generator=torch.Generator().manual_seed(derive(config.seed, "net")),
        )
    except (Exception, SystemExit) as error:  # somebody's own code may end the process
        plain = isinstance(error, (TypeError, ValueError, ImportError, AttributeError)) and str(error)
        reason = str(error).splitlines()[0] if plain else one_line(error)
        raise ConfigError(f"shortcut {config.shortcut['name']} cannot be built: {reason}") from error


def _parameters(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in LABELS}
