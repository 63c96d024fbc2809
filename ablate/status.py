"""What is finished, running, failed, missing. Changes nothing.

python -m ablate.status
python -m ablate.status results/runs --experiment table1 --watch
"""

import argparse
import json
import sys
from pathlib import Path

from ablate.cluster import slurm
from ablate.cluster.state import join
from ablate.errors import AblateError
from ablate.runs import status
from ablate.runs.reading import Runs, read_runs
from ablate.terminal import console, plain, say

EXAMPLES = """examples:
  python -m ablate.status                          every cell in results/runs
  python -m ablate.status --experiment table1      one experiment, with what is missing
  python -m ablate.status --failed                 why runs failed, with the end of their logs
  python -m ablate.status --json | jq .states      for scripts"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m ablate.status",
        description="What is finished, running, failed, missing.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="?", default="results/runs", type=Path, help="folder of runs (results/runs)")
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--failed", action="store_true", help="the reason and the end of the log of each failed run")
    how.add_argument("--json", action="store_true", help="everything, for scripts")
    how.add_argument("--watch", action="store_true", help="draw anew every 5 seconds while a run is running")
    options = parser.parse_args(arguments)
    try:
        if options.watch:
            status.watch(lambda: look(options.runs, options.experiment), every=5.0)
            return 0
        found = look(options.runs, options.experiment)
    except AblateError as error:
        say(f"ablate.status: {error}", error=True)
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    if options.json:
        say(json.dumps(status.as_json(found)))
    elif options.failed:
        say(status.failed_logs(found))
    else:
        terminal = console()
        terminal.width = terminal.width if terminal.is_terminal else 200
        terminal.print(status.table(found))
        for sentence in found.unread:
            say(f"ablate.status: {plain(sentence)}", error=True)
    return 0


def look(runs: Path, experiment: str | None) -> Runs:
    """The records, and what SLURM says of those that were submitted to it."""
    found = read_runs(runs, experiment)
    if slurm.here():
        try:
            join(found, runs)
        except AblateError as error:  # a cluster that does not answer hides no record
            found.unread.append(f"what SLURM has is not shown: {error}")
    return found


if __name__ == "__main__":
    sys.exit(main())
