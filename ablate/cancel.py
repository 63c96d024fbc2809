"""Cancel what SLURM has of one experiment, queued and running, and nothing else.

python -m ablate.cancel --experiment table1
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from ablate.errors import AblateError, ConfigError
from ablate.terminal import say

EXAMPLES = """examples:
  python -m ablate.cancel --experiment table1          shows what it would cancel, and asks
  python -m ablate.cancel --experiment table1 --yes    does not ask"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m ablate.cancel",
        description="Cancel the queued and running tasks of one experiment. Checkpoints are written first.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="?", default="results/runs", type=Path, help="folder of runs (results/runs)")
    parser.add_argument(
        "--experiment", metavar="NAME", help="whose tasks (without it, those of the grids that have no name)"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    options = parser.parse_args(arguments)
    try:
        return cancel(options.runs, options.experiment, sure=options.yes)
    except AblateError as error:
        say(f"ablate.cancel: {error}", error=True)
        return error.exit_status
    except KeyboardInterrupt:
        say("ablate.cancel: nothing was cancelled", error=True)
        return 130


def cancel(runs: Path, experiment: str | None, *, sure: bool) -> int:
    """Show the tasks, ask, cancel. Raises AblateError where there is no such experiment or SLURM does not answer."""
    from ablate.cluster import slurm
    from ablate.cluster.state import tasks
    from ablate.cluster.submission import JOBS, NAMELESS, safe

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


if __name__ == "__main__":
    sys.exit(main())
