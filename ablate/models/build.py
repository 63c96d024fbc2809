"""From a configuration to its network."""

import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from ablate.base.errors import ConfigError, one_line
from ablate.base.seeds import derive
from ablate.base.source import load
from ablate.config.check import CIFAR, fixed_depth, layers
from ablate.config.files import declared
from ablate.config.schema import LABELS, NET_LABELS, Config
from ablate.models.connection import Position, states_used
from ablate.models.generators import generators, restore_generators, seed_generators
from ablate.models.network import Network
from ablate.models.units import Units

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""_NormBase is that of batch and instance normalisation."""


def build(config: Config, *, shape: Sequence[int], classes: int) -> Network:
    """The network of `config` for images of `shape` (C, H, W), its initial weights drawn from the seed.

    Shortcuts draw from a random stream of their own, so networks that differ in h alone start from the same F.
    Raises ConfigError if a network, unit or shortcut refuses its parameters or the images, if the network does not use
    what the configuration chooses, or if a module names in `no_decay` or `rate_factors` a parameter that it has not.
    """
    shortcut = _with_own_stream(_of_position("shortcut", config), derive(config.seed, "shortcuts"))
    shortcuts: list[nn.Module] = []

    def build_shortcut(*built: Any) -> nn.Module:
        shortcuts.append(shortcut(*built))
        return shortcuts[-1]

    seed_generators(derive(config.seed, "net"))
    construct, of_unit = _of_position("unit", config), _class("unit", config.unit)

    def build_unit(in_channels: int, out_channels: int, stride: int, position: Position | None) -> nn.Module:
        own = partial(build_shortcut, position)
        return construct(position, in_channels, out_channels, stride, own)

    expansion, norm = getattr(of_unit, "expansion", 1), getattr(of_unit, "norm", True)
    unit = Units(build_unit, layers(config.unit), expansion, norm)
    offered = {"depth": config.depth, "width": config.width, "unit": unit}
    network: Network = _constructor("net", config.net)(shape[0], classes, **_asked(config, offered))
    if not isinstance(network, Network):
        raise ConfigError(f"net {config.net['name']} must be a subclass of ablate.models.network.Network")
    if min(shape[1:]) < network.smallest:
        height, width = shape[1:]
        size = f"{network.smallest}x{network.smallest}"
        resized = "; net.size=224 resizes them" if "size" in config.net else ""
        words = f"needs images of {size} or more, and these are {height}x{width}{resized}"
        raise ConfigError(f"net {config.net['name']} {words}")
    if config.shortcut["name"] != "none" and not shortcuts:
        names = f"net {config.net['name']} with unit {config.unit['name']}"
        raise ConfigError(f"{names} has no shortcut in it: build one in each unit, or add shortcut=none")
    no_decay(network), rate_factors(network)  # so that a wrong name ends a run before it begins
    return network


def _asked(config: Config, offered: dict[str, Any]) -> dict[str, Any]:
    """What the network's constructor takes of `offered`. Raises ConfigError if a choice would have no effect."""
    name, taken = config.net["name"], inspect.signature(_class("net", config.net)).parameters
    given = {key: value for key, value in offered.items() if key in taken}
    if "unit" not in given:
        if config.shortcut["name"] != "none":
            raise ConfigError(f"net {name} has no residual units, and so no shortcut: add shortcut=none")
        if word := _of_units(config):
            raise ConfigError(f"net {name} has no residual units, so {word} has no effect: leave it out")
    if "width" not in given and config.width != 1:
        raise ConfigError(f"net {name} takes no width: leave out width={config.width}")
    if "depth" not in given and fixed_depth(config.net, config.unit) is None:
        raise ConfigError(f"net {name} takes no depth: say which it has in its file, as in net.depth=5")
    return given


def _of_units(config: Config) -> str:
    """A word of the command line that chooses something of residual units, or nothing."""
    usual, unit = declared("unit", "basic"), config.unit
    keys = [key for key in unit if unit[key] != usual.get(key)]
    words = [f"unit={unit['name']}" if key == "name" else f"unit.{key}={unit[key]}" for key in keys]
    words += [f"{key}=true" for key in ("compile", "activation_checkpointing") if getattr(config, key)]
    words += [f"probes={config.probes}"] if config.probes != "none" else []
    return next(iter(words), "")


def check_buildable(config: Config, shape: Sequence[int]) -> None:
    """Raise ConfigError as `build` does, or if the network fails on images, at the cost of the shallowest network."""
    shallowest = 3 * layers(config.unit) + 2 if config.net["_target_"] == CIFAR else config.depth
    network = build(replace(config, depth=shallowest), shape=shape, classes=2)
    with checked_logits(network, config, shape, (2, 2)):
        network(torch.zeros(2, *shape))


@contextmanager
def checked_logits(network: Network, config: Config, shape: Sequence[int], wanted: tuple[int, int]) -> Iterator[None]:
    """Raise ConfigError if the network fails on images of `shape`, its logits have another shape than `wanted`, or it
    leaves out a step of connections with a state.
    """
    names = f"net {config.net['name']} with shortcut {config.shortcut['name']} in unit {config.unit['name']}"
    found: list[tuple[int, ...]] = []
    hook = network.register_forward_hook(lambda module, given, logits: found.append(tuple(logits.shape)))
    try:
        with states_used([unit for _, unit in network.units()]):
            yield
    except (Exception, SystemExit) as error:  # of custom code
        raise ConfigError(f"{names} fails on images of {shape[1]}x{shape[2]}: {one_line(error)}") from error
    finally:
        hook.remove()
    if {*found} != {wanted}:
        raise ConfigError(f"{names} must return logits of shape {wanted}, images and classes, not {found[0]}")


def no_decay(network: nn.Module) -> set[nn.Parameter]:
    """The parameters that weight decay leaves alone: a module names its own in `no_decay`, as ("gate.bias",).

    Raises ConfigError if it has no parameter of that name.
    """
    return {parameter for parameter, _ in _named(network, "no_decay")}


def rate_factors(network: nn.Module) -> dict[nn.Parameter, float]:
    """By what the learning rate of parameters is multiplied: a module says it in `rate_factors`, as {"scale": 0.1}.

    Raises ConfigError if it has no parameter of that name, or for a factor that is not a number above 0.
    """
    named = _named(network, "rate_factors")
    for _, (_, factors) in named:
        if not isinstance(factors, dict):
            raise ConfigError(f'rate_factors is {factors!r}: it must be a dict, as {{"scale": 0.1}}')
    found = {parameter: factors[name] for parameter, (name, factors) in named}
    for factor in found.values():
        if not isinstance(factor, (int, float)) or not 0 < factor < math.inf:
            raise ConfigError(f"a factor in rate_factors is {factor!r}: it must be a number above 0")
    return found


def normalising(network: nn.Module) -> set[nn.Parameter]:
    """The parameters of torch's normalisations, and of classes derived from them."""
    return {own for one in network.modules() if isinstance(one, NORMS) for own in one.parameters(recurse=False)}


def _named(network: nn.Module, attribute: str) -> list[tuple[nn.Parameter, Any]]:
    """Each parameter that a module names in an attribute, with the name and the attribute."""
    try:
        return [
            (one.get_parameter(name), (name, getattr(one, attribute)))
            for one in network.modules()
            for name in getattr(one, attribute, ())
        ]
    except AttributeError as error:
        raise ConfigError(f"a name in {attribute} is not a parameter: {one_line(error)}") from error


def _of_position(group: str, config: Config) -> Callable[..., nn.Module]:
    """The constructor of a shortcut or unit, which takes a unit's position first and passes it on if the class asks.

    Raises ConfigError if it asks for a position that the network does not give.
    """
    node = getattr(config, group)
    construct = _constructor(group, node)
    asked = [
        one.name
        for one in _parameters(_class(group, node))
        if one.name not in node and (one.name == "position" or one.annotation in (Position, "Position"))
    ]

    def constructed(position: Position | None, *arguments: Any) -> nn.Module:
        if asked and position is None:
            net = f"net {config.net['name']}"
            raise ConfigError(
                f"{group} {node['name']} asks for its unit's position, which {net} does not give to units"
            )
        return construct(*arguments, **dict.fromkeys(asked, position))

    return constructed


def _parameters(of: Any) -> list[inspect.Parameter]:
    """The parameters of a class's constructor; none if Python cannot say."""
    try:
        return list(inspect.signature(of).parameters.values())
    except (TypeError, ValueError):
        return []


def _with_own_stream(construct: Callable[..., nn.Module], seed: int) -> Callable[..., nn.Module]:
    """`construct` drawing from a random stream of its own, whatever its caller draws."""
    cpu = torch.device("cpu")
    seed_generators(seed)
    own = generators(cpu)

    def constructed(*arguments: Any) -> nn.Module:
        nonlocal own
        outer = generators(cpu)
        restore_generators(own, cpu)
        try:
            return construct(*arguments)
        finally:
            own = generators(cpu)
            restore_generators(outer, cpu)

    return constructed


def _class(group: str, node: dict[str, Any]) -> type:
    """The class of a network or unit. Raises ConfigError if there is none."""
    try:
        found = load(node["_target_"])
    except (Exception, SystemExit) as error:  # importing it runs its module
        reason = str(error) if isinstance(error, (ImportError, AttributeError)) else one_line(error)
        raise ConfigError(f"{group} {node['name']} cannot be built: {reason}") from error
    if not callable(found):
        raise ConfigError(f"{group}._target_={node['_target_']} is not a class")
    return found


def _constructor(group: str, node: dict[str, Any]) -> Callable[..., Any]:
    """The class of a network, unit or shortcut with its parameters. An error that it raises becomes a ConfigError."""
    parameters = {key: value for key, value in node.items() if key not in (NET_LABELS if group == "net" else LABELS)}

    def construct(*arguments: Any, **offered: Any) -> Any:
        try:
            return load(node["_target_"])(*arguments, **offered, **parameters)
        except ConfigError:  # a shortcut's, through its unit
            raise
        except (Exception, SystemExit) as error:  # custom code may end the process
            expected = isinstance(error, (TypeError, ValueError, ImportError, AttributeError)) and str(error)
            reason = str(error).splitlines()[0] if expected else one_line(error)
            raise ConfigError(f"{group} {node['name']} cannot be built: {reason}") from error

    return construct
