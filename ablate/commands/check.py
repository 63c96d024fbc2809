"""Check a shortcut or unit before it is trained: shapes, gradients, determinism, checkpoints, compilation."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ablate.base.errors import ConfigError
from ablate.base.files import to_json
from ablate.base.terminal import console, say
from ablate.commands import configs, network_arguments
from ablate.runs.naming import title

if TYPE_CHECKING:
    from ablate.config.schema import Config

EXAMPLES = """examples:
  ablate check layerscale.LayerScale                      a shortcut or a unit of your own, in a module here
  ablate check layerscale.LayerScale +shortcut.init=0.1   ... with a parameter
  ablate check shortcut=gate unit=bottleneck              any words of a run
  ablate check -m shortcut=identity,gate,conv1x1 --json   several; all of it for scripts
  ablate check --all                                      every shortcut and unit that ships

A class is taken for a unit if its constructor has a parameter `shortcut`. The exit status is 1 if a check fails."""
SHAPE = (3, 16, 16)
"""Of the images: in the third stage x is 4×4."""


SURROUNDINGS: tuple[tuple[str, ...], ...] = (
    (),
    ("unit.order=full_preactivation",),
    ("unit.order=bn_after_addition",),
    ("shortcut=none",),
    ("net=densenet",),
    ("net=nf_resnet",),
)
"""In which a shipped shortcut or unit is checked: the first that fits it."""


def arguments(parser: argparse.ArgumentParser) -> None:
    network_arguments(parser)
    parser.add_argument("--all", action="store_true", help="every shipped shortcut and unit")
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")


def main(options: argparse.Namespace) -> int:
    if options.all and options.words:
        raise ConfigError(f"--all and {options.words[0]} are both given: give one of them")
    if not options.all and not options.words:
        raise ConfigError("nothing is named: give a class, as in ablate check layerscale.LayerScale, or --all")
    options.words = [_word(word) for word in options.words]
    asked = list(map(fitting, shipped())) if options.all else configs("check", options)
    found = []
    for config in asked:
        found.append(_checked(config))
        if not options.json:
            _show(found[-1])
    if options.json:
        say(to_json({"checked": found}))
    failed = [one["name"] for one in found if not one["holds"]]
    if len(found) > 1 and not options.json:
        say(f"{len(found) - len(failed)} of {len(found)} pass" + (f"; not {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _word(word: str) -> str:
    """A class as the word of a run that uses it. Raises ConfigError if it cannot be imported."""
    if "=" in word or word.startswith("-"):
        return word
    import inspect

    from ablate.base.errors import one_line
    from ablate.base.source import load
    from ablate.config.check import names_class

    if not names_class(word):
        raise ConfigError(f"{word} is no class: write it as MODULE.CLASS, or shortcut={word} for one that ships")
    try:
        group = "unit" if "shortcut" in inspect.signature(load(word)).parameters else "shortcut"
    except (Exception, SystemExit) as error:  # importing it runs its module
        reason = str(error) if isinstance(error, (ImportError, AttributeError)) else one_line(error)
        raise ConfigError(f"{word} cannot be imported: {reason}") from error
    return f"{group}._target_={word}"


def shipped() -> list[str]:
    """A word for each shortcut and unit that ships."""
    from ablate.config.files import options

    return [f"{group}={name}" for group in ("shortcut", "unit") for name in options(group)]


def fitting(word: str) -> "Config":
    """The configuration of a shipped shortcut or unit, in the first of SURROUNDINGS that it can be built in.

    Raises ConfigError for the first if there is none.
    """
    from ablate.config.resolve import from_overrides
    from ablate.models.build import check_buildable

    refusals = []
    for words in SURROUNDINGS:
        try:
            config = from_overrides(*words, word)  # the last of two words for a group counts
            check_buildable(config, SHAPE)
            return config
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]


def _checked(config: "Config") -> dict[str, Any]:
    """What the battery found of one configuration, and what it costs beside the identity, as plain values."""
    from dataclasses import asdict, replace

    import torch

    from ablate.config.check import CIFAR, layers
    from ablate.models.build import build
    from ablate.models.cost import multiply_adds, parameters
    from ablate.training.battery import battery
    from ablate.training.checks import CLASSES

    torch.set_num_threads(1)  # on a busy machine, threads that wait for each other take minutes for small products
    if config.net["_target_"] == CIFAR:
        config = replace(config, depth=3 * layers(config.unit) + 2)
    findings = [one._asdict() for one in battery(config, SHAPE)]
    holds = not any(one["wrong"] for one in findings)
    found: dict[str, Any] = {"name": title(asdict(config)), "holds": holds, "findings": findings}
    if holds:
        network = build(config, shape=SHAPE, classes=CLASSES)
        found |= {"parameters": parameters(network), "multiply_adds": multiply_adds(network, SHAPE)}
    return found


def _show(found: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for one in found["findings"]:
        table.add_row("[red]✗[/red]" if one["wrong"] else "✓", one["check"])
    say(found["name"])
    console().print(table)
    for one in found["findings"]:
        if one["wrong"]:
            say(f"{one['check']}: {one['wrong']}")
    if found["holds"]:
        say(f"the network of this check: {found['parameters']:,} parameters, {found['multiply_adds']:,} multiply-adds")
