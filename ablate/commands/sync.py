"""Send to Weights & Biases the records that it lacks: tracked offline, or never tracked."""

import argparse
import os

from ablate.base.errors import AblateError
from ablate.base.terminal import say
from ablate.commands import runs_arguments, warn
from ablate.config.check import check_tracker
from ablate.config.schema import Tracker
from ablate.runs.layout import WANDB_LEDGER
from ablate.runs.reading import ENDED, Run, read_runs
from ablate.runs.record import DONE

EXAMPLES = """examples:
  ablate sync                                every record in results/runs that W&B lacks
  ablate sync --experiment table1            those of one experiment
  ablate sync --project shortcuts --dry-run  list what would be sent to another project

Each record is sent once, and again only if it has changed. A run that is on W&B already is extended."""

IDLE = (*ENDED, "stale")
"""States of a record that no process is writing."""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    parser.add_argument("--project", help="W&B project (the one that the run was trained with: tracker.project)")
    parser.add_argument("--entity", help="W&B user or team (your default)")
    parser.add_argument("--dry-run", action="store_true", help="list what would be sent")


def main(options: argparse.Namespace) -> None:
    from ablate.tracking.session import Busy, Session, Unreachable, exclusive

    check_tracker(Tracker("wandb", options.project or Tracker.project, options.entity))
    where = options.project, options.entity
    found = read_runs(options.runs, options.experiment)
    for sentence in found.unread:
        warn("sync", sentence)
    records = [run for run in found.runs if run.state != "missing"]
    ended = [run for run in records if run.state in IDLE]
    waiting = [run for run in ended if _should_be_sent(run, *where)]
    say(f"{len(records)} records, {len(records) - len(ended)} unfinished, {len(waiting)} to send")
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
        except (Busy, OSError, ValueError) as error:  # the next records are independent of this one
            failed += 1
            warn("sync", f"{label} was not sent: {error}")
            continue
        if confirmed:
            say(f"{label} -> {session.url}")
        else:
            failed += 1
            warn("sync", f"{label} was sent, but the server has not confirmed all of it")
    if failed:
        raise AblateError(f"{failed} of {len(waiting)} records were not sent: run the same command again")


def _should_be_sent(run: Run, project: str | None, entity: str | None) -> bool:
    """Whether W&B lacks a run that reached its end, or one that was tracked when it stopped early."""
    from ablate.tracking.facts import read
    from ablate.tracking.session import delivered

    if run.state not in DONE and not read(run.folder, WANDB_LEDGER):
        return False
    try:
        return not delivered(run.folder, project, entity)
    except (OSError, ValueError):
        return True  # sending it reports the error
