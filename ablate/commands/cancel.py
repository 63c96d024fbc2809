"""Cancel the queued and running SLURM tasks of one experiment. Running ones write their checkpoints first."""

import argparse
import sys
from collections import Counter
from pathlib import Path

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import say
from ablate.commands import runs_arguments
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.state import tasks
from ablate.grid.slurm.submission import NAMELESS, safe

EXAMPLES = """examples:
  ablate cancel --experiment table1          shows the tasks, and asks
  ablate cancel --experiment table1 --yes    does not ask
  ablate cancel                              the grids that have no name"""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def main(options: argparse.Namespace) -> None:
    cancel(options.runs, options.experiment, sure=options.yes)


def cancel(runs: Path, experiment: str | None, *, sure: bool) -> int:
    """Show the tasks, ask, cancel. Raises AblateError where there is no such experiment or SLURM does not answer."""
    from ablate.grid.slurm.submission import JOBS

    slurm.need("squeue")
    name = experiment or "a grid without a name"
    if not (runs / JOBS / safe(experiment)).is_dir():
        known = sorted(path.name for path in (runs / JOBS).glob("*") if path.name != NAMELESS)
        raise AblateError(f"nothing of {name} was submitted from {runs}; submitted were: {', '.join(known) or 'none'}")
    found = [place for place in tasks(runs, safe(experiment)) if place.task.state != "COMPLETING"]
    for place in found:
        task = place.task
        names = ", ".join(place.submission.runs[task.index])
        say(f"{task.name}  {task.state:<10}  {task.node or task.reason:<16}  {names}")
    if not found:
        say(f"SLURM has nothing of {name} queued or running")
        return 0
    counts = ", ".join(f"{n} {state.lower()}" for state, n in Counter(place.task.state for place in found).items())
    if not sure:
        if not sys.stdin.isatty():
            raise ConfigError(f"{counts}: add --yes to cancel them, where nobody can be asked")
        if input(f"cancel {counts}? [y/N] ").strip().lower() not in ("y", "yes"):
            say("nothing was cancelled")
            return 0
    slurm.cancel([place.task for place in found])
    say(f"cancelled {counts}; what was running writes its checkpoint, and the same grid again goes on")
    return 0
