"""Kills a run again and again, and starts runs twice at once: real processes, for the tests and for `make drill`.

torch is imported once and every run is forked, so that a hundred kills take a minute.

    python tests/drill.py kill FOLDER --kills 100 --seed 7
    python tests/drill.py race FOLDER --rounds 50 --without-links
"""

import argparse
import errno
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads cannot be forked safely

import torch

from ablate.config.resolve import from_overrides
from ablate.runs import layout
from ablate.runs.attempt import attempt
from ablate.runs.reading import TIMES
from ablate.runs.record import Record
from ablate.runs.tracker import NullTracker
from ablate.training.step import Step

torch.set_num_threads(1)
for module in ("ablate.runs.run", "ablate.runs.progress", "ablate.data.digits"):
    importlib.import_module(module)  # so that the forks do not

PER_EPOCH, MOST = 20, 8
"""Steps of an epoch, and the most steps of a process before it is killed; it may take one more."""


def record(results: Path, *overrides: str) -> Record:
    return Record(from_overrides(f"results={results}", "threads=1", "depth=8", *overrides))


def begin(run: Record, log: Path, first: Callable[[], None] = lambda: None) -> int:
    """Fork a process that calls `first` and carries out `run`, and return its number. Its output goes to `log`."""
    pid = os.fork()
    if pid:
        return pid
    try:
        with open(log, "a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        first()
        outcome = attempt(run, NullTracker(), label="", workers=1, bar=False)
        if outcome.message:
            print(outcome.message, flush=True)
        os._exit(outcome.status)
    finally:
        os._exit(99)


class SteppedRun:
    """A process that carries out a run, but takes each step only when allowed, so that its speed does not matter."""

    def __init__(self, run: Record, log: Path) -> None:
        allowed, self.allow = os.pipe()
        self.taken, taken = os.pipe()

        def wait_for_steps() -> None:
            os.close(self.allow)
            take = Step.__call__

            def step(self: Step) -> None:
                os.read(allowed, 1)
                take(self)
                os.write(taken, b".")

            Step.__call__ = step  # type: ignore[method-assign]

        self.pid = begin(run, log, wait_for_steps)
        os.close(allowed)
        os.close(taken)

    def steps(self, number: int) -> None:
        """Allow `number` steps and wait until they are taken."""
        os.write(self.allow, b"." * number)
        for _ in range(number):
            if not os.read(self.taken, 1):
                raise RuntimeError("the run ended before its last step")

    def end(self, *, kill: bool = False) -> bool:
        """Kill the process, or allow all remaining steps; wait for its end and return whether it was killed."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.allow)  # reading from it no longer blocks
        _, status = os.waitpid(self.pid, 0)
        os.close(self.taken)
        return os.WIFSIGNALED(status)


def ended(results: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The only result in `results`, and its metrics without times."""
    (folder,) = (path for path in results.iterdir() if layout.is_run(path.name))
    lines = [json.loads(line) for line in (folder / layout.METRICS).read_text().splitlines()]
    metrics = [{key: value for key, value in line.items() if key not in TIMES} for line in lines]
    return json.loads((folder / layout.RESULT).read_text()), metrics


def kill(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    """Compare a run that is killed `kills` times with one that is not. Dropout, so that generators matter."""
    random_moments = random.Random(seed)
    epochs = kills // 2 + 2  # more steps than all killed processes take
    overrides = ("shortcut=dropout", f"epochs={epochs}", "checkpoint.steps=1")
    began = time.monotonic()
    whole = SteppedRun(record(folder / "whole", *overrides), folder / "whole.log")
    whole.steps(1)
    start_up, began = time.monotonic() - began, time.monotonic()
    whole.end()
    step = (time.monotonic() - began) / (epochs * PER_EPOCH)
    killed = writing = resumed = 0
    broken = folder / "broken"
    while killed < kills:
        # Every fifth process is killed while it starts or before its first step; the others after a random number of
        # steps, while they write a checkpoint or take the next step.
        run = SteppedRun(record(broken, *overrides), folder / "broken.log")
        if killed % 5 == 4:
            time.sleep(random_moments.uniform(0.0, 1.0) * start_up)
        else:
            number = random_moments.randint(0, MOST)
            run.steps(number)
            os.write(run.allow, b".")
            time.sleep(random_moments.uniform(0.0, 1.5) * step)
            resumed += number > 1  # its first step is in a checkpoint
        killed += run.end(kill=True)
        writing += any(broken.glob("*/.writing-*"))
    SteppedRun(record(broken, *overrides), folder / "broken.log").end()
    (one, lines), (other, others) = ended(folder / "whole"), ended(broken)
    return {
        "kills": killed,
        "while a file was being written": writing,
        "resumed": other["resumed"],
        "at least": resumed,
        "same weights": one["weights_sha256"] == other["weights_sha256"],
        "same metrics": lines == others,
        "same result": all(one[key] == other[key] for key in ("test_error", "best_test_error", "train_loss")),
        "left over": sorted(path.name for path in next(broken.glob("digits-*")).iterdir()),
    }


def race(folder: Path, rounds: int) -> dict[str, Any]:
    """Start the same run in two processes at once, `rounds` times."""
    trained, backed_off, statuses = [], [], set()
    for number in range(rounds):
        results, log = folder / str(number), folder / f"{number}.log"
        run = record(results, "iterations=2")
        for pid in [begin(run, log), begin(run, log)]:
            statuses.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        text = log.read_text()
        trained.append(text.count("epoch "))
        backed_off.append(text.count("is being trained by") + text.count("already trained"))
        assert len(ended(results)[1]) == 1
    return {"rounds": rounds, "trained": trained, "backed off": backed_off, "exit statuses": sorted(statuses)}


def refuse_links(*_: object) -> None:
    """os.link on a file system without hard links."""
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kill", "race"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--without-links", action="store_true", help="as on a file system without hard links")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.without_links:
        os.link = refuse_links  # type: ignore[assignment]
    if options.what == "kill":
        found = kill(options.folder, options.kills, options.seed)
        passed = found["resumed"] >= found["at least"] and all(found[key] for key in found if key.startswith("same"))
    else:
        found = race(options.folder, options.rounds)
        once = [1] * options.rounds
        passed = found["trained"] == found["backed off"] == once and found["exit statuses"] == [0]
    print(json.dumps(found))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
