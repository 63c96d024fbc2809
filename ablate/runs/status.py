"""The progress of runs: a table with a line for each cell, or everything as JSON. Changes nothing."""

import time
from collections.abc import Callable
from typing import Any

from rich.table import Table
from rich.text import Text

from ablate.base.terminal import console, plain
from ablate.runs import layout
from ablate.runs.naming import label, variants
from ablate.runs.reading import Run, Runs

ON_A_CLUSTER = ("queued", "waiting", "starting", "lost")
"""States that only SLURM knows; see ablate.grid.slurm.state.join."""
UNFINISHED = ("running", "queued", "waiting", "starting")
TAIL = 15
"""Lines shown of a failed run's log."""


def table(found: Runs) -> Table:
    """One row for each cell: how many seeds have finished, and the state of the others."""
    drawn = Table("shortcut", "depth", "data", "finished", "state")
    cells = by_cell(found)
    for runs, name in zip(cells, variants([runs[0].config for runs in cells]), strict=True):
        config = runs[0].config
        done = sum(run.state in ("finished", "diverged") for run in runs)
        drawn.add_row(
            Text(plain(name)),
            str(config["depth"]),
            Text(plain(str(config["data"]["name"]))),
            f"{done} of {len(runs)}",
            Text(plain("\n".join(_lines(runs)))),
        )
    counts = summary(found)
    drawn.caption = ", ".join(f"{number} {state}" for state, number in counts.items())
    return drawn


def by_cell(found: Runs) -> list[list[Run]]:
    """The runs of each cell, by seed."""
    cells: dict[str, list[Run]] = {}
    for run in found.runs:
        cells.setdefault(run.cell, []).append(run)
    return [sorted(runs, key=lambda run: int(run.config["seed"])) for runs in cells.values()]


def summary(found: Runs) -> dict[str, int]:
    """How many runs are in each state."""
    counts: dict[str, int] = {}
    for run in found.runs:
        counts[run.state] = counts.get(run.state, 0) + 1
    return counts


def as_json(found: Runs) -> dict[str, Any]:
    """Everything, for scripts."""
    return {
        "runs": [_facts(run) for run in found.runs],
        "states": summary(found),
        "unread": found.unread,
    }


def failed_logs(found: Runs) -> str:
    """The reason and the end of the log of every run that failed, went stale or was lost."""
    parts = []
    for run in found.runs:
        if run.state in ("failed", "stale", "lost"):
            try:
                tail = (run.folder / layout.LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
            except OSError:
                tail = ["(no log)"]
            parts.append("\n  ".join([f"{run.folder}: {run.state}: {_reason(run)}", *tail]))
    return plain("\n\n".join(parts)) or "no run has failed"


def _facts(run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "folder": str(run.folder),
        "state": run.state,
        "cell": run.cell,
        "shortcut": label(run.config["shortcut"]),
        "depth": run.config["depth"],
        "data": run.config["data"]["name"],
        "seed": run.config["seed"],
        "reason": run.result.get("reason"),
        "test_error": run.result.get("test_error"),
    }
    for key in ("host", "pid", "step", "steps", "images_per_second", "task", "node"):
        facts[key] = run.lock.get(key)
    facts["seconds_left"] = _seconds_left(run)
    return facts


def _lines(runs: list[Run]) -> list[str]:
    lines = []
    for run in runs:
        seed = f"seed {run.config['seed']}"
        if run.state == "running":
            lines.append(f"{seed} {_running(run)}")
        elif run.state in ("failed", "stale", "interrupted", "diverged", *ON_A_CLUSTER):
            lines.append(f"{seed} {run.state}: {_reason(run)}")
    missing = [str(run.config["seed"]) for run in runs if run.state == "missing"]
    if missing:
        lines.append(f"missing: seed {', '.join(missing)}")
    return lines


def _running(run: Run) -> str:
    lock = run.lock
    step, steps, left = lock.get("step", 0), lock.get("steps"), _seconds_left(run)
    part = f"step {step:,} of {steps:,}, {100 * step / steps:.0f} %" if steps else "starting"
    speed = f", {lock['images_per_second']:,.0f} images/s" if lock.get("images_per_second") else ""
    rest = f", {_duration(left)} left" if left is not None else ""
    node = f", task {lock['task']} on {lock['node']}" if "task" in lock else f", on {lock.get('host', '?')}"
    return f"running: {part}{speed}{rest}{node}"


def _seconds_left(run: Run) -> float | None:
    lock = run.lock
    if run.state != "running" or not lock.get("images_per_second") or not lock.get("steps"):
        return None
    images = (lock["steps"] - lock["step"]) * run.config["recipe"]["batch"]
    return max(0.0, float(images / lock["images_per_second"] - (time.time() - lock["renewed"])))


def _reason(run: Run) -> str:
    if run.state in ON_A_CLUSTER:
        return str(run.lock["reason"])
    if run.state == "stale":
        lock = run.lock
        where = f"process {lock['pid']} on {lock['host']} is gone" if "pid" in lock else "no process trains it"
        return f"{where}; the same command again resumes it"
    why = (str(run.result.get("reason") or "").splitlines() or ["no reason given"])[0]
    return f"{why}; queued again: {run.lock['reason']}" if "reason" in run.lock else why


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def watch(look: Callable[[], Runs], every: float) -> None:
    """Redraw the table every `every` seconds, until interrupted or until no run is unfinished."""
    from rich.live import Live

    with Live(console=console(), auto_refresh=False, screen=False) as live:
        while True:
            found = look()
            live.update(table(found), refresh=True)
            if not any(state in summary(found) for state in UNFINISHED):
                return
            time.sleep(every)
