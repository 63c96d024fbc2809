"""What 10,000 runs on 1,000 nodes do to the file system, to SLURM, and to status and report: counted and measured.

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
from pathlib import Path

import yaml

from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.grid.slurm import client as slurm
from ablate.grid.slurm import state, submission
from ablate.runs import lock as lock
from ablate.runs.attempt import attempt
from ablate.runs.identity import folder_name
from tests import scale

RUNS, NODES = 10_000, 1_000
COUNTED = ("open", "replace", "rename", "link", "unlink", "fsync", "mkdir", "stat")


@contextlib.contextmanager
def counting() -> Iterator[collections.Counter[str]]:
    """Counts calls of the os module that touch a file system's metadata, in this process."""
    counts: collections.Counter[str] = collections.Counter()
    real = {name: getattr(os, name) for name in COUNTED}

    def watch(name):
        def call(*words, **options):
            counts[name] += 1
            return real[name](*words, **options)

        return call

    for name in COUNTED:
        setattr(os, name, watch(name))
    try:
        yield counts
    finally:
        for name, function in real.items():
            setattr(os, name, function)


def one_run(folder: Path) -> tuple[collections.Counter[str], int, int, int]:
    """A real run with two checkpoints: its metadata calls, its files at the end, its epochs and its bytes."""
    config = from_overrides("depth=8", "epochs=4", "threads=1", "checkpoint.steps=30", f"results={folder}")
    with counting() as counts, contextlib.redirect_stderr(io.StringIO()):
        outcome = attempt(config, label="", workers=1, bar=False)
    assert outcome.status == 0, outcome
    files = [path for path in folder.rglob("*") if path.is_file()]
    return counts, len(files), 4, sum(path.stat().st_size for path in files)


def beats(folder: Path, many: int) -> float:
    """Heartbeats a second that this file system takes from one process."""
    holders = []
    for number in range(many):
        (folder / f"run-{number}").mkdir(parents=True)
        held = lock.Lock(folder / f"run-{number}")
        held.take()
        holders.append(held)
    began = time.monotonic()
    for held in holders:
        held.beat()
    return many / (time.monotonic() - began)


def plan(folder: Path) -> tuple[float, int, float, float]:
    """A submission of all runs: seconds to write, bytes; seconds for a task to read its line, and to join squeue's."""
    base = from_overrides("depth=20", f"results={folder}")
    tasks: list[list[Config]] = []
    for number in range(RUNS):
        config = copy.deepcopy(base)
        config.seed, config.experiment = number, "crowd"
        tasks.append([config])
    began = time.monotonic()
    made = submission.submitted(submission.create(tasks), "1")
    writing = time.monotonic() - began
    size = sum(path.stat().st_size for path in made.folder.iterdir())
    began = time.monotonic()
    for number in range(0, RUNS, 100):
        submission.task(made.folder, number)
    reading = (time.monotonic() - began) / 100
    lines = "".join(f"1|{n}|{'RUNNING' if n < NODES else 'PENDING'}|None|n{n}|{made.folder}\n" for n in range(RUNS))
    real, slurm._ask = slurm._ask, lambda *_: lines
    began = time.monotonic()
    assert len(state.places(folder)) == RUNS
    joining = time.monotonic() - began
    slurm._ask = real
    return writing, size, reading, joining


def under_way(folder: Path) -> None:
    """A study in the middle: 8,000 records finished, 1,000 running, 1,000 to come."""
    scale.write(folder, 8000)
    base = scale.template()
    asked = {}
    for number in range(8000, RUNS):
        tree = copy.deepcopy(base)
        tree["depth"], tree["seed"] = 8 + 6 * (number % 100), number // 100
        name = folder_name(tree)
        asked[name] = tree
        if number < 9000:
            (folder / name).mkdir()
            (folder / name / "config.yaml").write_text(yaml.safe_dump(tree))
            lock.Lock(folder / name, lambda: {"step": 100, "steps": 400, "images_per_second": 900.0}).take()
    (folder / "_grids" / "crowd").mkdir(parents=True)
    (folder / "_grids" / "crowd" / "plan.json").write_text(json.dumps({"schema": 1, "runs": asked}))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = options.folder
    counts, files, epochs, size = one_run(folder / "one")
    per_beat = beats(folder / "beats", NODES)
    writing, plan_size, reading, joining = plan(folder / "plan")
    under_way(folder / "study")
    status, again = (scale.measure("ablate", "status", str(folder / "study"))[0] for _ in range(2))
    report, report_again = (scale.measure("ablate", "report", str(folder / "study"))[0] for _ in range(2))
    renames = counts["replace"] + counts["rename"]
    lines = [
        f"| a run of {epochs} epochs and 2 checkpoints | {files} files kept, {size / 2**20:.1f} MiB; "
        f"{renames} renames, {counts['fsync']} fsyncs, {counts['link']} links, {counts['unlink']} unlinks |",
        f"| heartbeats of {NODES:,} runs | one rename each {lock.HEARTBEAT:.0f} s: {NODES / lock.HEARTBEAT:.0f} a second; "
        f"this disk takes {per_beat:,.0f} a second from one process |",
        f"| a submission of {RUNS:,} tasks | {writing:.1f} s and {plan_size / 2**20:.0f} MiB in 3 files; a task reads "
        f"its line in {1000 * reading:.0f} ms |",
        f"| squeue's {RUNS:,} lines joined with the records | {joining:.2f} s |",
        f"| status, {RUNS:,} runs of which {NODES:,} running | {status:.1f} s, then {again:.1f} s from memory |",
        f"| report on them | {report:.1f} s, then {report_again:.1f} s from memory |",
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
