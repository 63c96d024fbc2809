"""Send records to Weights & Biases that it does not have: tracked offline, or never tracked."""

import argparse
import os

from ablate.base.errors import AblateError
from ablate.base.terminal import say
from ablate.commands import runs_arguments, warn
from ablate.config.check import check_tracker
from ablate.config.schema import Tracker
from ablate.runs.reading import Run, read_runs

EXAMPLES = """examples:
  ablate sync                                every record in results/runs that W&B does not have
  ablate sync --experiment table1            one experiment's
  ablate sync --project shortcuts --dry-run  what would be sent, and where

Each record is sent once, and again only if it has changed. A run that is on W&B already is extended."""

SENT = ("finished", "diverged", "failed", "interrupted", "stale")
"""States of a record that no process is writing to."""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    parser.add_argument("--project", help="W&B project (the one that the run was trained with: tracker.project)")
    parser.add_argument("--entity", help="W&B user or team (your default)")
    parser.add_argument("--dry-run", action="store_true", help="list what would be sent")


def main(options: argparse.Namespace) -> None:
    from ablate.tracking.session import Busy, Session, Unreachable, exclusive

    check_tracker(Tracker("wandb", options.project or Tracker.project, options.entity))
    found = read_runs(options.runs, options.experiment)
    for sentence in found.unread:
        warn("sync", sentence)
    there = [run for run in found.runs if run.state != "missing"]
    ended = [run for run in there if run.state in SENT]
    where = options.project, options.entity
    waiting = [run for run in ended if _worth_sending(run) and _lacking(run, *where)]
    say(f"{len(there)} records, {len(there) - len(ended)} unfinished, {len(waiting)} to send")
    failed = 0
    os.environ["WANDB_MODE"] = "online"
    for number, run in enumerate(waiting, 1):
        label = f"[{number}/{len(waiting)}] {run.folder.name}"
        if options.dry_run:
            say(f"{label}: {run.state}")
            continue
        try:
            with exclusive(run.folder):
                session = Session(run.folder, online=True, project=options.project, entity=options.entity)
                confirmed = session.finish()
        except Unreachable as error:
            raise AblateError(f"W&B is unavailable: {error}; {number - 1 - failed} of {len(waiting)} sent") from error
        except (Busy, OSError, ValueError) as error:  # of this record alone
            failed += 1
            warn("sync", f"{label} was not sent: {error}")
            continue
        if confirmed:
            say(f"{label} -> {session.url}")
        else:
            failed += 1
            warn("sync", f"{label} was sent, but the server has not confirmed all of it")
    if failed:
        raise AblateError(f"{failed} of {len(waiting)} are not on W&B; the same command tries them again")


def _worth_sending(run: Run) -> bool:
    """A run that ended, or one that was tracked when it was cut short."""
    from ablate.tracking.facts import ledger

    return run.state in ("finished", "diverged") or bool(ledger(run.folder))


def _lacking(run: Run, project: str | None, entity: str | None) -> bool:
    from ablate.tracking.session import delivered

    try:
        return not delivered(run.folder, project, entity)
    except (OSError, ValueError):
        return True  # sending it reports the error
