"""Create or update the study's workspace on Weights & Biases. Needs the extra [dashboard]."""

import argparse

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import say
from ablate.config.check import check_tracker
from ablate.config.schema import Tracker

EXAMPLES = """examples:
  ablate dashboard ablate                in your project 'ablate', where tracker=wandb puts runs
  ablate dashboard ablate --entity lab   in a project of your team's
  ablate dashboard ablate --json         print its specification; needs no network and no key

Run again, it updates its own workspace, 'Residual shortcuts', and no other."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", help="the project that the runs are in (tracker.project, 'ablate')")
    parser.add_argument("--entity", help="W&B user or team (your default)")
    parser.add_argument("--json", action="store_true", help="print the specification and change nothing")


def main(options: argparse.Namespace) -> None:
    check_tracker(Tracker("wandb", options.project, options.entity))
    from ablate.tracking.session import Unreachable, reach

    try:
        from ablate.tracking.workspace import save, specification
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed: pip install 'ablate[dashboard]'") from error

    if options.json:
        say(specification(options.project, options.entity or "entity"))
        return
    import wandb

    try:
        reach(wandb.setup().settings.base_url)
        say(save(options.project, options.entity))
    except Unreachable as error:
        raise AblateError(f"W&B did not take the dashboard: {error}; wandb login, and train with tracker=wandb first, "
                          "which makes the project") from error  # fmt: skip
