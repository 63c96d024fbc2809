"""What is finished, running, failed or missing. Changes nothing."""

import argparse
import json
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.table import Table
from rich.text import Text

from ablate.base.errors import AblateError
from ablate.base.terminal import console, plain, say
from ablate.commands import runs_arguments, warn
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm.state import asked, join
from ablate.runs import layout
from ablate.runs.code import changes
from ablate.runs.naming import label, network, variants
from ablate.runs.reading import Run, Runs, read_runs
from ablate.runs.record import DONE

EXAMPLES = """examples:
  ablate status                          every cell in results/runs
  ablate status --experiment table1      one experiment, with what is missing
  ablate status --failed                 why runs failed, with the end of their logs
  ablate status --json | jq .states      for scripts"""

ON_A_CLUSTER = ("queued", "waiting", "starting")
"""States that only SLURM knows; see ablate.grid.slurm.state.join."""
UNFINISHED = {"running", "queued", "waiting", "starting"}
LONGEST = 1e9
"""Seconds above which a time left is not shown."""
TAIL = 15
"""Lines shown of a failed run's log."""


def arguments(parser: argparse.ArgumentParser) -> None:
    runs_arguments(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--failed", action="store_true", help="the reason and the end of the log of each failed run")
    how.add_argument("--json", action="store_true", help="everything, for scripts")
    how.add_argument("--watch", action="store_true", help="redraw every 5 seconds while a run is unfinished")


def main(options: argparse.Namespace) -> None:
    found = _look(options.runs, options.experiment)
    if options.watch:
        with Live(table(found), console=console(), auto_refresh=False) as live:
            while UNFINISHED & _states(found).keys():
                time.sleep(5)
                found = _look(options.runs, options.experiment)
                live.update(table(found), refresh=True)
    elif options.json:
        runs = [facts(run) for run in found.runs]
        say(json.dumps({"runs": runs, "states": _states(found), "unread": found.unread}))
    elif options.failed:
        failed = [run for run in found.runs if run.state in ("failed", "stale", "missing") and _detail(run)]
        logs = [_log(run) for run in failed]
        say(plain("\n\n".join(logs)) or "no run has failed")
    else:
        console().print(table(found))
        for sentence in found.unread:
            warn("status", plain(sentence))


def _look(runs: Path, experiment: str | None) -> Runs:
    """The records, with the state of those that were submitted to SLURM."""
    found = read_runs(runs, experiment, {} if experiment else asked(runs))
    if slurm.here():
        try:
            join(found, runs)
        except AblateError as error:  # show the records all the same
            found.unread.append(f"the state of SLURM jobs is not shown: {error}")
    return found


def _states(found: Runs) -> dict[str, int]:
    """How many runs are in each state."""
    return Counter(run.state for run in found.runs)


def table(found: Runs) -> Table:
    """One row for each cell: how many seeds have finished, and the state of the others."""
    drawn = Table("shortcut", "depth", "data", "finished", "state")
    cells: dict[str, list[Run]] = {}
    for run in found.runs:
        cells.setdefault(run.cell, []).append(run)
    for runs, name in zip(cells.values(), variants([runs[0].config for runs in cells.values()]), strict=True):
        runs.sort(key=lambda run: int(run.config["seed"]))
        config = runs[0].config
        done = sum(run.state in DONE for run in runs)
        lines = [f"seed {run.config['seed']} {run.state}: {why}" for run in runs if (why := _detail(run))]
        for names, seeds in _other_code(runs).items():
            lines.append(f"by other code ({names} differ): seed {', '.join(seeds)}")
        if missing := [str(run.config["seed"]) for run in runs if run.state == "missing" and not _detail(run)]:
            lines.append(f"missing: seed {', '.join(missing)}")
        words = (name, str(config["depth"]), str(config["data"]["name"]), f"{done} of {len(runs)}", "\n".join(lines))
        drawn.add_row(*(Text(plain(word)) for word in words))
    drawn.caption = ", ".join(f"{number} {state}" for state, number in _states(found).items())
    return drawn


def _other_code(runs: list[Run]) -> dict[str, list[str]]:
    """The seeds of the ended runs that other code than this trained, by what differs."""
    found: dict[str, list[str]] = {}
    for run in runs:
        if run.state in DONE and (changed := changes(run.config, run.result["code"])):
            found.setdefault(", ".join(changed), []).append(str(run.config["seed"]))
    return found


def facts(run: Run) -> dict[str, Any]:
    """A run for scripts."""
    return {
        "folder": str(run.folder),
        "state": run.state,
        "cell": run.cell,
        "shortcut": label(run.config["shortcut"]),
        "net": network(run.config),
        "unit": label(run.config["unit"]),
        "depth": run.config["depth"],
        "data": run.config["data"]["name"],
        "seed": run.config["seed"],
        "reason": run.result.get("reason"),
        "test_error": run.test_error,
        "other_code": changes(run.config, run.result["code"]) if run.state in DONE else [],
        **{key: run.lock.get(key) for key in ("host", "pid", "step", "steps", "images_per_second", "task", "node")},
        "seconds_left": _seconds_left(run),
    }


def _log(run: Run) -> str:
    """The reason of a failure and the end of the log: the run's, or its SLURM task's if it never began."""
    log = run.folder / layout.LOG
    if "log" in run.lock and not log.exists():
        log = Path(run.lock["log"])
    try:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
    except OSError:
        tail = ["(no log)"]
    return "\n  ".join([f"{run.folder}: {run.state}: {_detail(run)}", *tail])


def _detail(run: Run) -> str:
    """How far a running run is, or why another is not finished; empty if there is nothing to say."""
    lock = run.lock
    if run.state == "finished":
        return ""
    reason = (str(run.result.get("reason") or "").splitlines() or [""])[0]
    if run.state == "missing":
        return reason
    if run.state == "running":
        step, steps, left = lock.get("step", 0), lock.get("steps"), _seconds_left(run)
        part = f"step {step:,} of {steps:,}, {100 * step / steps:.0f} %" if steps else "starting"
        speed = f", {lock['images_per_second']:,.0f} images/s" if lock.get("images_per_second") else ""
        rest = f", {timedelta(seconds=round(left))} left" if left is not None else ""
        node = f"task {lock['task']} on {lock['node']}" if "task" in lock else f"on {lock.get('host', '?')}"
        return f"{part}{speed}{rest}, {node}"
    if run.state in ON_A_CLUSTER:
        return str(lock["reason"])
    if run.state == "stale":
        where = f"process {lock['pid']} on {lock['host']} is gone" if "pid" in lock else "no process trains it"
        return f"{reason or where}; run the same command again to resume"
    why = reason or "no reason given"
    return f"{why}; queued again: {lock['reason']}" if "reason" in lock else why


def _seconds_left(run: Run) -> float | None:
    lock = run.lock
    if run.state != "running" or not lock.get("images_per_second") or not lock.get("steps"):
        return None
    images = (lock["steps"] - lock["step"]) * run.config["recipe"]["batch"]
    left = images / lock["images_per_second"] - (time.time() - lock["renewed"])
    return max(0.0, left) if left < LONGEST else None
