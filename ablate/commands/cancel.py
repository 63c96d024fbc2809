"""Cancel the queued and running SLURM tasks of one experiment. Running ones write their checkpoints first."""

import argparse
import sys
from collections import Counter

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import say
from ablate.commands import runs_arguments
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.state import tasks
from ablate.grid.slurm.submission import UNNAMED, folder_of
from ablate.runs.layout import JOBS

EXAMPLES = """examples:
  ablate cancel --experiment table1          shows the tasks, and asks
  ablate cancel --experiment table1 --yes    does not ask
  ablate cancel                              the grids without an experiment"""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def main(options: argparse.Namespace) -> None:
    slurm.need("squeue")
    runs, name = options.runs, options.experiment or "a grid without an experiment"
    folder = folder_of(options.experiment)
    if not (runs / JOBS / folder).is_dir():
        known = sorted(path.name for path in (runs / JOBS).glob("*") if path.name != UNNAMED)
        raise AblateError(f"nothing of {name} was submitted from {runs}; submitted were: {', '.join(known) or 'none'}")
    found = []
    for task, names in tasks(runs, folder):
        if task.state != "COMPLETING":
            found.append(task)
            say(f"{task.name}  {task.state:<10}  {task.node or task.reason:<16}  {', '.join(names)}")
    if not found:
        return say(f"no task of {name} is queued or running")
    counts = ", ".join(f"{n} {state.lower()}" for state, n in Counter(task.state for task in found).items())
    if not options.yes:
        if not sys.stdin.isatty():
            raise ConfigError(f"{counts}: add --yes to cancel them without being asked")
        if input(f"cancel {counts}? [y/N] ").strip().lower() not in ("y", "yes"):
            return say("nothing was cancelled")
    slurm.cancel(found)
    return say(f"cancelled {counts}; running tasks write a checkpoint; run the grid's command again to resume")
