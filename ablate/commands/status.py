"""What is finished, running, failed or missing. Changes nothing."""

import argparse
import json
from pathlib import Path

from ablate.base.errors import AblateError
from ablate.base.terminal import console, plain, say
from ablate.commands import runs_arguments, warn
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.state import join
from ablate.runs import status
from ablate.runs.reading import Runs, read_runs

EXAMPLES = """examples:
  ablate status                          every cell in results/runs
  ablate status --experiment table1      one experiment, with what is missing
  ablate status --failed                 why runs failed, with the end of their logs
  ablate status --json | jq .states      for scripts"""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--failed", action="store_true", help="the reason and the end of the log of each failed run")
    how.add_argument("--json", action="store_true", help="everything, for scripts")
    how.add_argument("--watch", action="store_true", help="redraw every 5 seconds while a run is unfinished")


def main(options: argparse.Namespace) -> None:
    if options.watch:
        return status.watch(lambda: look(options.runs, options.experiment), every=5.0)
    found = look(options.runs, options.experiment)
    if options.json:
        say(json.dumps(status.as_json(found)))
    elif options.failed:
        say(status.failed_logs(found))
    else:
        terminal = console()
        terminal.width = terminal.width if terminal.is_terminal else 200
        terminal.print(status.table(found))
        for sentence in found.unread:
            warn("status", plain(sentence))
    return None


def look(runs: Path, experiment: str | None) -> Runs:
    """The records, with the state of those that were submitted to SLURM."""
    found = read_runs(runs, experiment)
    if slurm.here():
        try:
            join(found, runs)
        except AblateError as error:  # show the records all the same
            found.unread.append(f"the state of SLURM jobs is not shown: {error}")
    return found
