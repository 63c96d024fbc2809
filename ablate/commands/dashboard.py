"""Create or update the study's dashboard on Weights & Biases. Needs the extra [dashboard]."""

import argparse

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import say
from ablate.config.check import check_tracker
from ablate.config.schema import Tracker

EXAMPLES = """examples:
  ablate dashboard ablate                in your project 'ablate', the default of tracker=wandb
  ablate dashboard ablate --entity lab   in a project of your team
  ablate dashboard ablate --json         print the specification; needs neither a network nor a key

It updates its own workspace, 'Residual shortcuts', and no other."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("project", help="the project of the runs (tracker.project)")
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
        raise AblateError(
            f"the dashboard was not saved: {error}; run wandb login first, and train with tracker=wandb, which creates "
            "the project"
        ) from error
