"""Every command, configuration group and key."""

import argparse

import yaml

from ablate.base.terminal import say
from ablate.config.compose import conf_folder, options, sites_folder
from ablate.config.schema import keys

EXAMPLES = """examples:
  ablate help                  this
  ablate report --help         one command, with examples"""

HEAD = """Ablation of residual shortcuts: train a network with h(x) of your choice in x' = relu(h(x) + F(x)).

  ablate [GROUP=OPTION] [KEY=VALUE]            one run
  ablate -m [KEY=VALUE,VALUE,...]              a grid
  ablate COMMAND [ARGUMENTS]                   a command; ablate COMMAND --help has examples

Examples
  ablate shortcut=gate depth=110               shortcut-only gating, 110 layers, on digits
  ablate -m +experiment=quickstart             the eleven rows of [B] Table 1, small
  ablate -m shortcut=identity,none depth=20,56 seed=0,1,2
  ablate shortcut=dropout shortcut.p=0.2 data=cifar10 data.download=true
  ablate report                                the table of all that has run
"""
GROUPS = ("shortcut", "unit", "data", "recipe", "tracker", "experiment", "hydra/launcher")


def arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def main(_options: argparse.Namespace) -> None:
    say(text())


def text() -> str:
    """The whole help."""
    from ablate import commands

    return "\n".join(
        [
            HEAD,
            "Commands",
            *(f"  {name:<12} {commands.summary(name)}" for name in commands.names()),
            "",
            "Groups (GROUP=OPTION; an experiment with +experiment=NAME)",
            *(f"  {group + '=':<16} {', '.join(options(group))}" for group in GROUPS),
            f"  {'cluster=':<16} {', '.join(options('cluster', [sites_folder()]))}",
            "",
            "Keys of a run, and their defaults",
            *(f"  {key.name + '=' + key.default:<28} {key.meaning}" for key in keys() if key.name not in GROUPS),
            "",
            "Keys of a shortcut, as shortcut.KEY=VALUE",
            *(f"  {line}" for line in _parameters()),
            "",
            "Keys of a launcher, as hydra.launcher.KEY=VALUE",
            *(f"  {line}" for line in _launchers()),
            "",
            "Guide: docs/, README.md. Configuration files of your own: --config-dir FOLDER",
        ]
    )


def _parameters() -> list[str]:
    lines = []
    for name in options("shortcut"):
        file = yaml.safe_load((conf_folder() / "shortcut" / f"{name}.yaml").read_text())
        own = {key: value for key, value in file.items() if key not in ("name", "_target_", "defaults")}
        if own and "defaults" not in file:
            lines.append(f"{name + ':':<16} {', '.join(f'{key}={value!s}' for key, value in own.items())}")
    return lines


def _launchers() -> list[str]:
    lines = []
    for name in options("hydra/launcher"):
        file = yaml.safe_load((conf_folder() / "hydra/launcher" / f"{name}.yaml").read_text())
        if own := [key for key in file if key != "_target_"]:
            lines.append(f"{name + ':':<16} {', '.join(own)}")
    return lines
