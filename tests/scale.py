"""How the time and memory of `ablate status` and `ablate report` grow with the number of finished records.

python tests/scale.py FOLDER 10000 100000
"""

import copy
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import yaml

from ablate.config.resolve import from_overrides
from ablate.runs import layout
from ablate.runs.identity import SCHEMA, folder_name, signature


def write(folder: Path, count: int) -> None:
    """Write `count` finished records of a hundred cells, with the files of a run."""
    base = asdict(from_overrides("depth=56"))
    metric = {"step": 20, "epoch": 1, "lr": 0.02, "train_loss": 2.5, "train_error": 70.0, "test_loss": 2.0}
    lines = "".join(json.dumps({**metric, "test_error": 60.0 - n, "seconds": 1.5 * n}) + "\n" for n in range(20))
    for number in range(count):
        tree = copy.deepcopy(base)
        tree["depth"] = 8 + 6 * (number % 100)
        tree["seed"] = number // 100
        run = folder / folder_name(tree)
        run.mkdir(parents=True)
        result = {
            **{"schema": SCHEMA, "signature": signature(tree), "status": "finished", "seed": tree["seed"]},
            **{"test_error": 2.0 + number % 7 / 10, "best_test_error": 2.0, "train_loss": 0.1, "train_error": 1.0},
            **{"parameters": 852730, "multiply_adds": 8267392, "seconds": 30.0, "images_per_second": 900.0},
            **{"device": "cpu", "versions": {"python": "3.11", "torch": "2.15"}, "code": {}},
            **{"git": None, "config": tree},
        }
        (run / layout.RESULT).write_text(json.dumps(result, indent=1))
        (run / layout.CONFIG).write_text(yaml.safe_dump(tree))
        (run / layout.METRICS).write_text(lines)
        (run / layout.LOG).write_text("a line\n" * 25)


def measure(*words: str) -> tuple[float, float]:
    """Seconds and MiB of `ablate WORDS`."""
    began = time.monotonic()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "ablate", *words],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, usage = os.wait4(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, words
    return time.monotonic() - began, usage.ru_maxrss / 1024


def main() -> None:
    folder, *counts = sys.argv[1:]
    print("| records | status, s | status, MiB | report, s | report, MiB |\n|---|---|---|---|---|")
    for count in map(int, counts):
        runs = Path(folder) / str(count)
        if not runs.exists():
            write(runs, count)
        figures = [f"{value:.1f}" for name in ("status", "report") for value in measure(name, str(runs))]
        print(f"| {count:,} | " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main()
