"""Processes that are killed, and that race, for real: a driver for the tests and for `make drill`.

torch is imported once and every run is a fork, so that a hundred deaths take a minute and not ten.

    python tests/drill.py kill FOLDER --kills 100 --seed 7
    python tests/drill.py race FOLDER --rounds 50
"""

import argparse
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a fork must find no threads of its parent's

import torch

from ablate.config.resolve import from_overrides
from ablate.config.schema import Config
from ablate.runs.attempt import attempt
from ablate.runs.reading import TIMES
from ablate.training.step import Step

torch.set_num_threads(1)
for module in (
    "ablate.runs.run",
    "ablate.data.digits",
    "torch._dynamo",
):  # the last one torch.optim imports on first use
    importlib.import_module(module)  # here once, and not in every fork

PER_EPOCH, MOST = 20, 8
"""Steps of an epoch, and of a life; a life may take one more."""


def config(results: Path, *overrides: str) -> Config:
    return from_overrides(f"results={results}", "threads=1", "depth=8", *overrides)


def begin(run: Config, log: Path, first: Callable[[], None] = lambda: None) -> int:
    """Fork a process that calls `first` and carries out `run`; what it prints goes to `log`."""
    pid = os.fork()
    if pid:
        return pid
    try:
        with open(log, "a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        first()
        outcome = attempt(run, label="", workers=1, bar=False)
        if outcome.message:
            print(outcome.message, flush=True)
        os._exit(outcome.status)
    finally:
        os._exit(99)


class Life:
    """A process that carries out a run as many steps far as it is given, and tells of each: its speed is no matter."""

    def __init__(self, run: Config, log: Path) -> None:
        given, self.give = os.pipe()
        self.told, tell = os.pipe()

        def hold() -> None:
            os.close(self.give)
            take = Step.__call__

            def step(self: Step) -> None:
                os.read(given, 1)
                take(self)
                os.write(tell, b".")

            Step.__call__ = step  # type: ignore[method-assign]

        self.pid = begin(run, log, hold)
        os.close(given)
        os.close(tell)

    def steps(self, number: int) -> None:
        """Let it take so many, until it has."""
        os.write(self.give, b"." * number)
        for _ in range(number):
            if not os.read(self.told, 1):
                raise RuntimeError("it has ended before its time")

    def end(self, *, kill: bool = False) -> bool:
        """Once it is killed, or has taken all steps that are left. Whether it was killed."""
        if kill:
            os.kill(self.pid, signal.SIGKILL)
        os.close(self.give)
        _, status = os.waitpid(self.pid, 0)
        os.close(self.told)
        return os.WIFSIGNALED(status)


def ended(results: Path) -> tuple[dict, list[dict]]:
    """The one result below `results`, and its metrics without their times."""
    (folder,) = (path for path in results.iterdir() if path.name[0] not in "_.")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        for key in TIMES:
            del line[key]
    return json.loads((folder / "result.json").read_text()), lines


def kill(folder: Path, kills: int, seed: int) -> dict:
    """A run that dies `kills` times, against one that never does. Dropout, so that a generator's state matters."""
    dice = random.Random(seed)
    steps = PER_EPOCH * max(12, kills // 2)
    overrides = ("shortcut=dropout", f"epochs={steps // PER_EPOCH}", "checkpoint.steps=1")
    began = time.monotonic()
    whole = Life(config(folder / "whole", *overrides), folder / "whole.log")
    whole.steps(1)
    start_up, began = time.monotonic() - began, time.monotonic()
    whole.end()
    step = (time.monotonic() - began) / steps
    deaths = writing = resumed = 0
    broken = folder / "broken"
    while deaths < kills:
        # Lives end anywhere: each fifth while it starts or before its first step, the others after so many, in a
        # checkpoint or the step after it; all of them together well short of the whole.
        life = Life(config(broken, *overrides), folder / "broken.log")
        if deaths % 5 == 4:
            time.sleep(dice.uniform(0.0, 1.0) * start_up)
        else:
            number = dice.randint(0, MOST)
            life.steps(number)
            os.write(life.give, b".")
            time.sleep(dice.uniform(0.0, 1.5) * step)
            resumed += number > 1  # its first step is in a checkpoint
        deaths += life.end(kill=True)
        writing += any(broken.glob("*/.writing-*"))
    Life(config(broken, *overrides), folder / "broken.log").end()
    (one, lines), (other, others) = ended(folder / "whole"), ended(broken)
    return {
        "deaths": deaths,
        "while a file was being written": writing,
        "resumed": other["resumed"],
        "at least": resumed,
        "same weights": one["weights_sha256"] == other["weights_sha256"],
        "same metrics": lines == others,
        "same result": all(one[key] == other[key] for key in ("test_error", "best_test_error", "train_loss")),
        "left over": sorted(path.name for path in next(broken.glob("digits-*")).iterdir()),
    }


def race(folder: Path, rounds: int) -> dict:
    """Two processes that ask for the same run at the same time."""
    trained, others, statuses = [], [], set()
    for number in range(rounds):
        results, log = folder / str(number), folder / f"{number}.log"
        run = config(results, "iterations=2")
        for pid in [begin(run, log), begin(run, log)]:
            statuses.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        text = log.read_text()
        trained.append(text.count("epoch "))
        others.append(text.count("is being trained by") + text.count("already trained"))
        assert len(ended(results)[1]) == 1
    return {"rounds": rounds, "trained": trained, "stood back": others, "exit statuses": sorted(statuses)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("kill", "race"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.what == "kill":
        told = kill(options.folder, options.kills, options.seed)
        well = told["resumed"] >= told["at least"] and all(told[key] for key in told if key.startswith("same"))
    else:
        told = race(options.folder, options.rounds)
        well = told["trained"] == told["stood back"] == [1] * options.rounds and told["exit statuses"] == [0]
    print(json.dumps(told))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
