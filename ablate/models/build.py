"""From a configuration to its network."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ablate.base.errors import ConfigError, one_line
from ablate.base.seeds import derive
from ablate.base.source import load
from ablate.config.check import SHALLOWEST
from ablate.config.schema import Config
from ablate.models.resnet import ResNet

LABELS = ("name", "source", "_target_")
"""Keys of a shortcut or unit that are not parameters of its constructor."""


def build(config: Config, *, channels: int, classes: int) -> ResNet:
    """The network of `config` for images of `channels`, its initial weights drawn from the seed.

    Raises ConfigError if a shortcut or unit refuses its parameters.
    """
    torch.manual_seed(derive(config.seed, "shortcuts"))
    return ResNet(
        config.depth,
        _constructor("shortcut", config.shortcut),
        in_channels=channels,
        classes=classes,
        unit=_constructor("unit", config.unit),
        generator=torch.Generator().manual_seed(derive(config.seed, "net")),
    )


def check_buildable(config: Config) -> None:
    """Raise ConfigError as `build` does, at the cost of the shallowest network."""
    build(replace(config, depth=SHALLOWEST), channels=1, classes=2)


def _constructor(group: str, node: dict[str, Any]) -> Callable[..., nn.Module]:
    """The class of a shortcut or unit with its parameters. An error that it raises becomes a ConfigError."""
    parameters = {key: value for key, value in node.items() if key not in LABELS}

    def construct(*arguments: Any) -> nn.Module:
        try:
            module: nn.Module = load(node["_target_"])(*arguments, **parameters)
        except ConfigError:  # a shortcut's, through its unit
            raise
        except (Exception, SystemExit) as error:  # custom code may end the process
            expected = isinstance(error, (TypeError, ValueError, ImportError, AttributeError)) and str(error)
            reason = str(error).splitlines()[0] if expected else one_line(error)
            raise ConfigError(f"{group} {node['name']} cannot be built: {reason}") from error
        return module

    return construct
