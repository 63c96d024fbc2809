"""Run a record again into another folder and say whether it came out the same.

python -m ablate.replay results/runs/digits-gate-d110-s0-0123456789abcdef
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ablate.config import BUILT_IN, Config, settle
from ablate.errors import AblateError, ConfigError
from ablate.runs.reading import TIMES, read_run
from ablate.runs.stopping import Interrupted
from ablate.terminal import say, watched

SAME = ("status", "test_error", "best_test_error", "train_loss", "train_error", "parameters", "weights_sha256")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m ablate.replay", description="Run a record again and compare.")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--out", metavar="FOLDER", type=Path, help="where the new run goes (a temporary folder)")
    parser.add_argument("--trust", action="store_true", help="run code that the record names outside this package")
    options = parser.parse_args(arguments)
    try:
        if options.out:
            return replay(options.run, options.out, trust=options.trust)
        with tempfile.TemporaryDirectory(prefix="ablate-replay-") as folder:
            return replay(options.run, Path(folder), trust=options.trust)
    except AblateError as error:
        say(f"ablate.replay: {error}", error=True)
        return error.exit_status
    except Interrupted as error:
        say(f"ablate.replay: interrupted: {error}", error=True)
        return error.exit_status


def replay(folder: Path, out: Path, *, trust: bool) -> int:
    """Train what the record in `folder` says into `out`, print what differs; 0 where nothing does, else 1.

    Raises AblateError where the record cannot be run again as it was.
    """
    try:
        run = read_run(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AblateError(f"{folder} is not the whole record of a run: {error}") from error
    if run.state not in ("finished", "diverged"):
        raise AblateError(f"{folder} is {run.state}: only a run that has ended can be replayed")
    for group in ("shortcut", "unit"):
        target = str(run.config[group].get("_target_"))
        if not target.startswith(("ablate.models.units.", BUILT_IN)) and not trust:
            raise ConfigError(f"{folder} runs code of its own, {target}: look at it, then add --trust")
    if out.resolve() == folder.resolve().parent:
        raise ConfigError(f"--out {out} is where the record lies: name another folder")
    config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), run.config))
    assert isinstance(config, Config)
    settle(config)
    for group, key in (("shortcut", "source"), ("data", "fingerprint")):
        was, now = (as_tree[group].get(key) for as_tree in (run.config, asdict(config)))
        if was != now:
            say(f"{group}.{key} was {was}, is {now}: this is not the {group} that the record was made with")
    config.rerun, config.experiment = None, None
    config.results, config.threads = str(out), config.threads or run.result.get("threads")
    config.precision = run.result["precision"]

    from ablate.runs.progress import Progress
    from ablate.runs.run import run as carry_out

    progress = Progress(bar=watched())
    try:
        record = carry_out(config, progress)
    finally:
        progress.close()
    again = record.read_result() or {}
    differences = compare(run.result, again, _metrics(folder), _metrics(record.folder))
    for line in differences:
        say(line)
    for key in ("versions", "git", "device", "threads"):
        if differences and run.result.get(key) != again.get(key):
            say(f"which may be why: {key} was {run.result.get(key)}, is {again.get(key)}")
    say(f"{folder}: came out {'different' if differences else 'the same, in every bit'}")
    return int(bool(differences))


def compare(
    old: dict[str, Any], new: dict[str, Any], old_metrics: list[dict[str, Any]], new_metrics: list[dict[str, Any]]
) -> list[str]:
    """A line for each number that differs between two results and their metrics; times are no numbers of the run."""
    lines = [f"{key} was {old.get(key)}, is {new.get(key)}" for key in SAME if old.get(key) != new.get(key)]
    for before, after in zip(old_metrics, new_metrics, strict=False):
        keys = [key for key in before if key not in TIMES and before[key] != after.get(key)]
        if keys:
            lines.append(f"from step {before['step']} on: {keys[0]} was {before[keys[0]]}, is {after.get(keys[0])}")
            break
    if len(old_metrics) != len(new_metrics):
        lines.append(f"there were {len(old_metrics)} evaluations, there are {len(new_metrics)}")
    return lines


def _metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    sys.exit(main())
