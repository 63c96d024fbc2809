"""Every command, configuration group and key."""

import argparse
import json

import yaml

from ablate.base.terminal import say
from ablate.commands.completion import GROUPS, named
from ablate.config.compose import conf_folder
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


def arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def main(_options: argparse.Namespace) -> None:
    from ablate import commands

    groups = [group.lstrip("+") for group in GROUPS]
    lines = [
        HEAD,
        "Commands",
        *(f"  {name:<12} {commands.summary(name)}" for name in commands.names()),
        "",
        "Groups",
        *(f"  {group + '=':<16} {', '.join(named(group))}" for group in GROUPS),
        "",
        "Keys of a run, and their defaults",
        *(f"  {key.name + '=' + key.default:<28} {key.meaning}" for key in keys() if key.name not in groups),
        "",
        "Keys of a shortcut, as shortcut.KEY=VALUE",
        *_own_keys("shortcut"),
        "",
        "Keys of a launcher, as hydra.launcher.KEY=VALUE",
        *_own_keys("hydra/launcher"),
        "",
        "Guide: docs/, README.md. Configuration files of your own: --config-dir FOLDER",
    ]
    say("\n".join(lines))


def _own_keys(group: str) -> list[str]:
    """A line for each option of a group that has keys of its own."""
    lines = []
    for name in named(group):
        file = yaml.safe_load((conf_folder() / group / f"{name}.yaml").read_text())
        own = [
            f"{key}={json.dumps(value)}".replace('"', "")
            for key, value in file.items()
            if key not in ("name", "_target_", "defaults")
        ]
        if own and "defaults" not in file:
            lines.append(f"  {name + ':':<16} {', '.join(own)}")
    return lines
