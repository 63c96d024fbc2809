"""The load of 10,000 runs on 1,000 nodes on the file system, on SLURM, and on status and report, counted and measured.

python tests/crowd.py FOLDER --out results/scale.md       a few minutes
"""

import argparse
import collections
import contextlib
import copy
import io
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import yaml

from ablate.config.resolve import from_overrides
from ablate.grid.slurm import client, state, submission
from ablate.runs import layout, lock
from ablate.runs.attempt import attempt
from ablate.runs.identity import SCHEMA, folder_name
from ablate.runs.record import Record
from ablate.runs.tracker import NullTracker
from tests import scale

RUNS, NODES = 10_000, 1_000
COUNTED = ("open", "replace", "rename", "link", "unlink", "fsync", "mkdir", "stat")


@contextlib.contextmanager
def counting() -> Iterator[collections.Counter[str]]:
    """Count this process's calls of functions of os that read or change a file system's metadata."""
    counts: collections.Counter[str] = collections.Counter()
    real = {name: getattr(os, name) for name in COUNTED}

    def counted(name):
        def call(*words, **options):
            counts[name] += 1
            return real[name](*words, **options)

        return call

    for name in COUNTED:
        setattr(os, name, counted(name))
    try:
        yield counts
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def one_run(folder: Path) -> tuple[collections.Counter[str], int, int, int]:
    """Train a run with two checkpoints: its metadata calls, its files at the end, its epochs and its bytes."""
    config = from_overrides("depth=8", "epochs=4", "threads=1", "checkpoint.steps=30", f"results={folder}")
    with counting() as counts, contextlib.redirect_stderr(io.StringIO()):
        outcome = attempt(Record(config), NullTracker(), label="", workers=1, bar=False)
    assert outcome.status == 0, outcome
    files = [path for path in folder.rglob("*") if path.is_file()]
    return counts, len(files), 4, sum(path.stat().st_size for path in files)


def heartbeats(folder: Path, many: int) -> float:
    """How many locks a second this file system lets one process renew."""
    locks = []
    for number in range(many):
        (folder / f"run-{number}").mkdir(parents=True)
        locks.append(lock.Lock(folder / f"run-{number}"))
        locks[-1].acquire()
    began = time.monotonic()
    for held in locks:
        held.renew()
    return many / (time.monotonic() - began)


def submit(folder: Path) -> tuple[float, int, float, float]:
    """Write a submission of all runs.

    Returns the seconds to write it, its bytes, the seconds for a task to read its line, and for all lines of squeue to
    be joined with it.
    """
    base = from_overrides("depth=20", f"results={folder}")
    base.experiment = "crowd"
    tasks = []
    for number in range(RUNS):
        config = copy.deepcopy(base)
        config.seed = number
        tasks.append([Record(config)])
    began = time.monotonic()
    made = submission.create(tasks)
    submission.submitted(made, "1")
    writing = time.monotonic() - began
    size = sum(path.stat().st_size for path in made.folder.iterdir())
    began = time.monotonic()
    for number in range(0, RUNS, 100):
        submission.task(made.folder, number)
    reading = (time.monotonic() - began) / 100
    lines = "".join(f"1|{n}|{'RUNNING' if n < NODES else 'PENDING'}|None|n{n}|{made.folder}\n" for n in range(RUNS))
    real, client._run = client._run, lambda *_: lines
    began = time.monotonic()
    assert len(state.by_run(folder)) == RUNS
    joining = time.monotonic() - began
    client._run = real
    return writing, size, reading, joining


def unfinished_study(folder: Path) -> None:
    """Write a study of 8,000 finished records, 1,000 running ones and 1,000 missing ones."""
    scale.write(folder, 8000)
    base = asdict(from_overrides("depth=56"))
    asked = {}
    for number in range(8000, RUNS):
        tree = copy.deepcopy(base)
        tree["depth"], tree["seed"] = 8 + 6 * (number % 100), number // 100
        name = folder_name(tree)
        asked[name] = tree
        if number < 9000:
            (folder / name).mkdir()
            (folder / name / layout.CONFIG).write_text(yaml.safe_dump(tree))
            lock.Lock(folder / name, lambda: {"step": 100, "steps": 400, "images_per_second": 900.0}).acquire()
    (folder / layout.PLANS / "crowd").mkdir(parents=True)
    (folder / layout.PLANS / "crowd" / "plan.json").write_text(json.dumps({"schema": SCHEMA, "runs": asked}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = options.folder
    counts, files, epochs, size = one_run(folder / "one")
    renewed = heartbeats(folder / "heartbeats", NODES)
    writing, plan_size, reading, joining = submit(folder / "submission")
    unfinished_study(folder / "study")
    status, report = (scale.measure(name, str(folder / "study"))[0] for name in ("status", "report"))
    renames, every = counts["replace"] + counts["rename"], lock.HEARTBEAT
    lines = [
        f"| a run of {epochs} epochs and 2 checkpoints | {files} files kept, {size / 2**20:.1f} MiB; "
        f"{renames} renames, {counts['fsync']} fsyncs, {counts['link']} links, {counts['unlink']} unlinks |",
        f"| heartbeats of {NODES:,} runs | one rename every {every:.0f} s: {NODES / every:.0f} a second; "
        f"one process can do {renewed:,.0f} a second on this disk |",
        f"| a submission of {RUNS:,} tasks | {writing:.1f} s and {plan_size / 2**20:.0f} MiB; a task reads its line in "
        f"{1000 * reading:.0f} ms |",
        f"| joining {RUNS:,} lines of squeue with the submissions | {joining:.2f} s |",
        f"| `ablate status`, {RUNS:,} runs of which {NODES:,} running | {status:.1f} s |",
        f"| `ablate report` on them | {report:.1f} s |",
    ]
    print("\n".join(lines))
    if options.out:
        text = options.out.read_text() if options.out.exists() else "<!-- measured -->\n<!-- end -->\n"
        before, _, rest = text.partition("<!-- measured -->\n")
        after = rest.partition("<!-- end -->\n")[2]
        table = "| what | measured |\n|---|---|\n" + "\n".join(lines) + "\n"
        options.out.write_text(f"{before}<!-- measured -->\n{table}<!-- end -->\n{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
