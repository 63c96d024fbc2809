"""Make the study's dashboard on Weights & Biases, or bring it up to date.

python -m ablate.dashboard shortcuts
python -m ablate.dashboard shortcuts --json
"""

import argparse
import sys

from ablate.config import Tracker, check_tracker
from ablate.errors import AblateError
from ablate.terminal import say

EXAMPLES = """examples:
  python -m ablate.dashboard ablate                make it in your project 'ablate', where tracker=wandb puts runs
  python -m ablate.dashboard ablate --entity lab   in a project of your group's
  python -m ablate.dashboard ablate --json         print its specification; needs no network and no key

Run again, it updates its own workspace, 'Residual shortcuts', and no other."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m ablate.dashboard",
        description="Make the study's workspace on Weights & Biases, or bring it up to date.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("project", help="the project that the runs are in (tracker.project, 'ablate')")
    parser.add_argument("--entity", help="whose project (your own)")
    parser.add_argument("--json", action="store_true", help="print the specification and change nothing")
    options = parser.parse_args(arguments)
    try:
        return dashboard(options)
    except AblateError as error:
        say(f"ablate.dashboard: {error}", error=True)
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def dashboard(options: argparse.Namespace) -> int:
    """Raises AblateError where the server cannot be had or refuses, or the project has no name for one."""
    check_tracker(Tracker("wandb", options.project, options.entity))
    from ablate.tracking.session import Unreachable, reach
    from ablate.tracking.workspace import save, specification

    if options.json:
        say(specification(options.project, options.entity or "entity"))
        return 0
    import wandb

    try:
        reach(wandb.setup().settings.base_url)
        say(save(options.project, options.entity))
    except Unreachable as error:
        raise AblateError(f"W&B did not take the dashboard: {error}; wandb login, and train with tracker=wandb first, "
                          "which makes the project") from error  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
