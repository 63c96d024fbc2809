"""From a configuration to its network."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ablate.base.errors import ConfigError, one_line
from ablate.base.seeds import derive
from ablate.base.source import load
from ablate.config.check import layers
from ablate.config.schema import LABELS, Config
from ablate.models.generators import generators, restore_generators, seed_generators
from ablate.models.resnet import ResNet, cifar_stages


def build(config: Config, *, channels: int, classes: int) -> ResNet:
    """The network of `config` for images of `channels`, its initial weights drawn from the seed.

    Shortcuts draw from a random stream of their own, so networks that differ in h alone start from the same F.
    Raises ConfigError if a shortcut or unit refuses its parameters, or exempts from weight decay what it has not.
    """
    shortcut = _constructor("shortcut", config.shortcut)
    shortcut = _with_own_stream(shortcut, derive(config.seed, "shortcuts"))
    seed_generators(derive(config.seed, "net"))
    unit = _constructor("unit", config.unit)
    expansion = getattr(load(config.unit["_target_"]), "expansion", 1)
    stages = cifar_stages(config.depth, layers(config.unit), config.width * expansion)
    network = ResNet(stages, shortcut, in_channels=channels, classes=classes, unit=unit)
    no_decay(network)
    return network


def check_buildable(config: Config) -> None:
    """Raise ConfigError as `build` does, or if the network fails on images, at the cost of the shallowest network."""
    network = build(replace(config, depth=3 * layers(config.unit) + 2), channels=1, classes=2)
    size = 8 if config.data.name == "digits" else 32  # others are larger
    try:
        network(torch.zeros(2, 1, size, size))
    except (Exception, SystemExit) as error:
        names = f"shortcut {config.shortcut['name']} in unit {config.unit['name']}"
        raise ConfigError(f"{names} fails on images of {size}x{size}: {one_line(error)}") from error


def no_decay(network: nn.Module) -> set[nn.Parameter]:
    """The parameters that weight decay leaves alone: a module names its own in `no_decay`, as ("gate.bias",).

    Raises ConfigError if it has no parameter of that name.
    """
    try:
        return {one.get_parameter(name) for one in network.modules() for name in getattr(one, "no_decay", ())}
    except AttributeError as error:
        raise ConfigError(f"a name in no_decay is not a parameter: {one_line(error)}") from error


def _with_own_stream(construct: Callable[..., nn.Module], seed: int) -> Callable[..., nn.Module]:
    """`construct` drawing from a random stream of its own, whatever its caller draws."""
    cpu = torch.device("cpu")
    seed_generators(seed)
    own = generators(cpu)

    def constructed(in_channels: int, out_channels: int, stride: int) -> nn.Module:
        nonlocal own
        outer = generators(cpu)
        restore_generators(own, cpu)
        try:
            return construct(in_channels, out_channels, stride)
        finally:
            own = generators(cpu)
            restore_generators(outer, cpu)

    return constructed


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
