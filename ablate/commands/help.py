"""Every command, configuration group and key; or one command."""

import argparse
import json

from ablate import commands
from ablate.base.terminal import say
from ablate.commands.completion import typed
from ablate.config.files import GROUPS, declared, options
from ablate.config.schema import keys

EXAMPLES = """examples:
  ablate help                  this
  ablate help report           one command, with examples; as ablate report --help"""

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
    parser.add_argument("command", nargs="?", choices=commands.names(), metavar="COMMAND", help="only this command")


def main(arguments: argparse.Namespace) -> None:
    if arguments.command:
        return say(commands.parser(arguments.command).format_help().rstrip())
    lines = [
        HEAD,
        "Commands",
        *(f"  {name:<12} {commands.summary(name)}" for name in commands.names()),
        "",
        "Groups",
        *(f"  {typed(group) + '=':<16} {', '.join(options(group))}" for group in GROUPS),
        "",
        "Keys of a run, and their defaults",
        *(f"  {key.name + '=' + key.default:<28} {key.meaning}" for key in keys() if key.name not in GROUPS),
        "",
        "Keys of a shortcut, as shortcut.KEY=VALUE",
        *_own_keys("shortcut"),
        "",
        "Keys of a unit, as unit.KEY=VALUE",
        *_own_keys("unit"),
        "",
        "Keys of a network, as net.KEY=VALUE",
        *_own_keys("net"),
        "",
        "Keys of a launcher, as hydra.launcher.KEY=VALUE",
        *_own_keys("hydra/launcher"),
        "",
        "Guide: docs/, README.md. Configuration files of your own: --config-dir FOLDER",
    ]
    return say("\n".join(lines))


def _own_keys(group: str) -> list[str]:
    """A line for each option of a group that has keys of its own, with their defaults."""
    lines, shown = [], set()
    for name in options(group):
        file = declared(group, name)
        own = [key for key in file if key not in ("name", "_target_")]
        if own and file["_target_"] not in shown:
            shown.add(file["_target_"])
            words = (f"{key}={json.dumps(file[key])}".replace('"', "") for key in own)
            lines.append(f"  {name + ':':<16} {', '.join(words)}")
    return lines
