"""Run a record again into another folder and compare the results bit by bit."""

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ablate.base.errors import AblateError, ConfigError
from ablate.base.terminal import is_terminal, say
from ablate.commands import path
from ablate.config.compose import from_tree
from ablate.config.resolve import settle
from ablate.runs.code import use_copy
from ablate.runs.naming import flatten
from ablate.runs.reading import NOT_A_RECORD, TIMES, read_run
from ablate.runs.record import DONE, Record, read_metrics
from ablate.runs.tracker import NullTracker

EXAMPLES = """examples:
  ablate replay results/runs/digits-gate-d110-s0-0123456789abcdef
  ablate replay RUN --out elsewhere      keep the new run
  ablate replay RUN --trust              the record names a class outside this package"""

HASHES = {"shortcut.source": "shortcut", "data.fingerprint": "data", "init_fingerprint": "file of init_from"}
SAME = (
    *("status", "stopped_at", "test_error", "best_test_error", "train_loss", "train_error"),
    *("parameters", "weights_sha256"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=path, help="a run's folder")
    parser.add_argument("--out", metavar="FOLDER", type=path, help="where the new run goes (a temporary folder)")
    parser.add_argument("--trust", action="store_true", help="run code that the record names outside this package")


def main(options: argparse.Namespace) -> int:
    if options.out:
        return replay(options.run, options.out, trust=options.trust)
    with tempfile.TemporaryDirectory(prefix="ablate-replay-") as folder:
        return replay(options.run, Path(folder), trust=options.trust)


def replay(folder: Path, out: Path, *, trust: bool) -> int:
    """Train the run of the record in `folder` again, into `out`; print what differs; return 0 if nothing does, else 1.

    Raises AblateError if the record cannot be run again as it was.
    """
    try:
        run = read_run(folder)
    except NOT_A_RECORD as error:
        raise AblateError(f"{folder} is not a whole record: {error}") from error
    if run.state not in DONE:
        raise AblateError(f"{folder} is {run.state}: only a run that is {', '.join(DONE)} can be replayed")
    from ablate.runs.trained import require_trust

    require_trust(run.config, folder, trust, "--trust")
    use_copy(folder)
    if out.resolve() == folder.resolve().parent:
        raise ConfigError(f"--out {out} is the folder of the record itself: name another")
    config = settle(from_tree(run.config))
    old, new = flatten(run.config), flatten(asdict(config))
    for key, what in HASHES.items():
        if old.get(key) != new.get(key):
            say(f"{key} was {old.get(key)}, is {new.get(key)}: the {what} has changed since the record was made")
    config.rerun, config.experiment = None, None
    config.results, config.threads = str(out), config.threads or run.result.get("threads")
    config.precision = run.result["precision"]

    from ablate.runs.progress import Progress
    from ablate.runs.run import run as carry_out

    record = Record(config)
    if record.folder.exists():
        raise ConfigError(f"--out {out} has this run already: name another folder")
    carry_out(record, Progress(bar=is_terminal()), NullTracker())
    again = record.read_result() or {}
    differences = compare(run.result, again, read_metrics(folder)[0], read_metrics(record.folder)[0])
    for line in differences:
        say(line)
    for key in ("versions", "code", "git", "device", "cpu", "threads", "processes"):
        if differences and run.result.get(key) != again.get(key):
            say(f"possible cause: {key} was {run.result.get(key)}, is {again.get(key)}")
    say(f"{folder}: {'the replay differs' if differences else 'the replay is identical in every bit'}")
    return int(bool(differences))


def compare(
    old: dict[str, Any], new: dict[str, Any], old_metrics: list[dict[str, Any]], new_metrics: list[dict[str, Any]]
) -> list[str]:
    """A line for each number that differs between two results and their metrics; times are not compared."""
    lines = [f"{key} was {old.get(key)}, is {new.get(key)}" for key in SAME if old.get(key) != new.get(key)]
    for before, after in zip(old_metrics, new_metrics, strict=False):
        keys = [key for key in before if key not in TIMES and before[key] != after.get(key)]
        if keys:
            lines.append(f"from step {before['step']} on: {keys[0]} was {before[keys[0]]}, is {after.get(keys[0])}")
            break
    if len(old_metrics) != len(new_metrics):
        lines.append(f"there were {len(old_metrics)} evaluations, there are {len(new_metrics)}")
    return lines
