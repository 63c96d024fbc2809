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
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # a fork must find no threads of its parent's

import torch

from ablate.config import Config, from_overrides
from ablate.runs.attempt import attempt
from ablate.runs.reading import TIMES

torch.set_num_threads(1)
for module in (
    "ablate.runs.run",
    "ablate.data.digits",
    "torch._dynamo",
):  # the last one torch.optim imports on first use
    importlib.import_module(module)  # here once, and not in every fork


def config(results: Path, *overrides: str) -> Config:
    return from_overrides(f"results={results}", "threads=1", "depth=8", *overrides)


def begin(run: Config, log: Path) -> int:
    """Fork a process that carries out `run`; what it prints goes to `log`."""
    pid = os.fork()
    if pid:
        return pid
    try:
        with open(log, "a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        outcome = attempt(run, label="", workers=1, bar=False)
        if outcome.message:
            print(outcome.message, flush=True)
        os._exit(outcome.status)
    finally:
        os._exit(99)


def begun(log: Path) -> int:
    """How many of the lives that write to `log` have come as far as training."""
    return log.read_text().count(" steps, ") if log.exists() else 0


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
    overrides = ("shortcut=dropout", f"epochs={max(12, kills // 2)}", "checkpoint.steps=1")
    began = time.monotonic()
    pid = begin(config(folder / "whole", *overrides), folder / "whole.log")
    while not begun(folder / "whole.log"):
        time.sleep(0.001)
    start_up = time.monotonic() - began
    os.waitpid(pid, 0)
    training = time.monotonic() - began - start_up
    deaths = writing = starts = early = 0
    broken = folder / "broken"
    while True:
        starts += 1
        began = time.monotonic()
        pid = begin(config(broken, *overrides), folder / "broken.log")
        if deaths < kills:
            # Lives end anywhere: one in five while it starts, the others in training, by what the log says and not by
            # a clock that a busy machine puts wrong; all of them together well short of the whole.
            known, starting = begun(folder / "broken.log"), dice.random() < 0.2
            life = dice.uniform(0.2, 1.0) * start_up if starting else dice.uniform(0.0, 0.8) * training / kills
            while not starting and begun(folder / "broken.log") == known and os.waitpid(pid, os.WNOHANG) == (0, 0):
                began = time.monotonic()
            while time.monotonic() - began < life and os.waitpid(pid, os.WNOHANG) == (0, 0):
                time.sleep(0.001)
            try:
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                early += 1  # it had ended before its time
                break
            deaths += os.WIFSIGNALED(status)
            writing += any(broken.glob("*/.writing-*"))
        else:
            os.waitpid(pid, 0)
            break
    (one, lines), (other, others) = ended(folder / "whole"), ended(broken)
    return {
        "deaths": deaths,
        "while a file was being written": writing,
        "starts": starts,
        "resumed": other["resumed"],
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
        well = told["deaths"] == options.kills and all(told[key] for key in told if key.startswith("same"))
    else:
        told = race(options.folder, options.rounds)
        well = told["trained"] == told["stood back"] == [1] * options.rounds and told["exit statuses"] == [0]
    print(json.dumps(told))
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
