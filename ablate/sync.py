"""Send records to Weights & Biases: what was tracked offline, and what was never tracked. Trains nothing.

python -m ablate.sync
python -m ablate.sync results/runs --experiment table1 --project shortcuts
"""

import argparse
import contextlib
import os
import sys
from pathlib import Path

from ablate.config import Tracker, check_tracker
from ablate.errors import AblateError
from ablate.runs.reading import Run, read_runs
from ablate.terminal import say

EXAMPLES = """examples:
  python -m ablate.sync                                every record in results/runs that W&B does not have
  python -m ablate.sync --experiment table1            one experiment's
  python -m ablate.sync --project shortcuts --dry-run  what would be sent, and where

Each record is sent once: again only if it has changed since. What was sent before under the same id is added to."""

SENT = ("finished", "diverged", "failed", "interrupted", "stale")
"""States of a record that nobody is writing to."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m ablate.sync",
        description="Send records that Weights & Biases does not have yet.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs", nargs="?", default="results/runs", type=Path, help="folder of runs (results/runs)")
    parser.add_argument("--experiment", metavar="NAME", help="only the runs that this experiment asks for")
    parser.add_argument("--project", help="where to (the one that the run was trained with: tracker.project)")
    parser.add_argument("--entity", help="whose project (your own)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent")
    options = parser.parse_args(arguments)
    try:
        return sync(options)
    except AblateError as error:
        say(f"ablate.sync: {error}", error=True)
        return error.exit_status
    except KeyboardInterrupt:
        say("ablate.sync: interrupted; the same command sends the rest", error=True)
        return 130


def sync(options: argparse.Namespace) -> int:
    """Send what is to be sent, one record after another. Raises AblateError where no server can be had."""
    from ablate.tracking.session import Busy, Session, Unreachable, alone

    check_tracker(Tracker("wandb", options.project or Tracker.project, options.entity))
    found = read_runs(options.runs, options.experiment)
    for sentence in found.unread:
        say(f"ablate.sync: {sentence}", error=True)
    there = [run for run in found.runs if run.state != "missing"]
    ended = [run for run in there if run.state in SENT]
    where = options.project, options.entity
    waiting = [run for run in ended if _worth_sending(run) and _lacking(run, *where)]
    say(f"{len(there)} records, {len(there) - len(ended)} under way, {len(waiting)} to send")
    failed = 0
    os.environ["WANDB_MODE"] = "online"
    for number, run in enumerate(waiting, 1):
        label = f"[{number}/{len(waiting)}] {run.folder.name}"
        if options.dry_run:
            say(f"{label}: {run.state}")
            continue
        try:
            with alone(run.folder):
                session = Session(run.folder, online=True, project=options.project, entity=options.entity)
                confirmed = session.finish()
        except Unreachable as error:
            raise AblateError(f"W&B cannot be had: {error}; {number - 1 - failed} of {len(waiting)} sent") from error
        except (Busy, OSError, ValueError) as error:  # of this record alone
            failed += 1
            say(f"ablate.sync: {label} was not sent: {error}", error=True)
            continue
        if confirmed:
            say(f"{label} -> {session.url}")
        else:
            failed += 1
            say(f"ablate.sync: {label} was sent, but the server has not confirmed all of it", error=True)
    if failed:
        raise AblateError(f"{failed} of {len(waiting)} are not there; the same command tries them again")
    return 0


def _worth_sending(run: Run) -> bool:
    """A run that has ended, or one that was being tracked when it was cut short."""
    from ablate.tracking.facts import ledger

    return run.state in ("finished", "diverged") or bool(ledger(run.folder))


def _lacking(run: Run, project: str | None, entity: str | None) -> bool:
    from ablate.tracking.session import delivered

    try:
        return not delivered(run.folder, project, entity)
    except (OSError, ValueError):
        return True  # it is told when it is sent


if __name__ == "__main__":
    status = main()
    with contextlib.suppress(AttributeError, OSError, ValueError):  # it is closed
        sys.stdout.flush()
    os._exit(status)  # wandb's own goodbye may wait for a server
