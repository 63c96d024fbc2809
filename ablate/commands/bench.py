"""How fast the harness is, against the training loop that everybody writes; and what stop_at_chance would save."""

import argparse
import math
import signal
import sys
from contextlib import nullcontext
from functools import partial
from typing import Any

from ablate.base.errors import ConfigError
from ablate.base.files import to_json, write_whole
from ablate.base.terminal import say
from ablate.commands import RUNS, path, warn

EXAMPLES = """benchmarks:
  speed    images a second of the reference loop, of the harness, and of the harness with one measure off at a time
  grid     wall time of a whole grid, against the reference loop run after run
  records  wall time of a run with its records and checkpoints, against bare training
  threads  images a second by threads, on an idle machine and beside busy processes
  memory   memory and images a second with activation_checkpointing=true, against false
  loader   images a second that data=imagenet reads, against torchvision's ImageFolder in a DataLoader
  probes   images a second with probes=signal, against none
  verdict  wall time of a grid with seeds=auto, against ten fixed seeds
  tracker  wall time of a command with tracker=wandb, offline, against tracker=none
  start    wall time of a run of one step and of a grid of them, against another version of ablate (--before)
  gpu      every question that needs a GPU, within --minutes: tests, speed, packing, a small Table 1
  stopping which finished runs stop_at_chance would have stopped, and how many wrongly; trains nothing

examples:
  ablate bench speed                                  two workloads: digits, and images of 32x32
  ablate bench speed depth=110 data=cifar10           a workload of your own
  ablate bench grid +experiment=quickstart            minutes: the reference loop is slow
  ablate bench records --rounds 4
  ablate bench speed --out results/bench              also write speed.json and speed.md there
  ablate bench gpu --minutes 9 --data cifar10         see docs/speed.md; results/bench/gpu-NAME has the results
  ablate bench gpu speed-110 packed-110               some of its parts
  ablate bench start --before ../older                a folder with another checkout
  ablate bench stopping results/*/records.tar.gz      runs in archives, or in folders of runs (results/runs)

Leave the machine idle while it measures."""

ROUNDS = {
    "speed": 5,
    "grid": 1,
    "records": 5,
    "threads": 5,
    "memory": 5,
    "loader": 5,
    "probes": 5,
    "tracker": 5,
    "verdict": 1,
    "start": 5,
}
STOPPING = "stopping"
"""Reads records and measures no time."""
GPU = "gpu"
"""Measures in parts, with processes of their own."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "benchmark", nargs="?", choices=[*ROUNDS, GPU, STOPPING], default="speed", help="what to measure (speed)"
    )
    parser.add_argument(
        "words",
        metavar="KEY=VALUE",
        nargs="*",
        help="the run or grid to measure; of gpu, parts; of stopping, where records are",
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds (1 for grid and verdict, 5 otherwise)")
    parser.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="that speed, memory and loader measure a variant for in each round (%(default)s)",
    )
    parser.add_argument("--out", metavar="FOLDER", type=path, help="also write JSON and Markdown there")
    parser.add_argument(
        "--before",
        metavar="FOLDER",
        type=path,
        help="of start, the checkout to compare with; each is its command's working folder",
    )
    parser.add_argument("--minutes", type=float, default=9.0, help="of gpu, the time for all (%(default)s)")
    parser.add_argument("--data", metavar="FOLDER", type=path, help="of gpu, CIFAR-10 as images, for Table 1")
    parser.add_argument("--rehearse", action="store_true", help="of gpu, all of it on the CPU, with tiny sizes")


def main(options: argparse.Namespace) -> int | None:
    if (options.benchmark == "start") != (options.before is not None):
        raise ConfigError("--before FOLDER belongs to `ablate bench start`, which needs it")
    if options.before and not (options.before / "ablate" / "__main__.py").is_file():
        raise ConfigError(f"--before: {options.before} has no ablate/__main__.py: it is no checkout of ablate")
    if options.out:  # before minutes of measuring
        options.out.mkdir(parents=True, exist_ok=True)
    carry_out = {STOPPING: _stopping, GPU: _gpu}.get(options.benchmark, _in_turns)
    # As Ctrl-C does, it removes temporary folders and ends the measured processes.
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        return carry_out(options)
    finally:
        signal.signal(signal.SIGTERM, before)


def _stopping(options: argparse.Namespace) -> None:
    from ablate.bench import stopping

    found = stopping.stopping([path(word) for word in options.words or [RUNS]])
    for sentence in found["left_out"]:
        warn("bench", sentence)
    _written(options, found, stopping.markdown(found))


def _gpu(options: argparse.Namespace) -> int:
    from ablate.bench.gpu import gpu

    if not 0 < options.minutes < math.inf:
        raise ConfigError("--minutes must be more than 0")
    return gpu(options.minutes, options.words, options.data, options.out, rehearse=options.rehearse)


def _in_turns(options: argparse.Namespace) -> None:
    name = options.benchmark
    rounds = ROUNDS[name] if options.rounds is None else options.rounds
    if rounds < 1 or not 0 < options.seconds < math.inf:
        raise ConfigError("--rounds must be 1 or more, and --seconds more than 0")
    from ablate.bench import busy, compare, loader, memory, page, probes, speed, wall_time, workloads

    timed = {"speed": speed.speed, "memory": memory.memory, "loader": loader.loader}
    if name in timed:
        measure = partial(timed[name], rounds=rounds, seconds=options.seconds)
    else:
        module = {"threads": busy, "probes": probes}.get(name, wall_time)
        measure = partial(getattr(module, name), rounds=rounds)
    if options.before:
        measure = partial(measure, before=options.before)
    found = {"benchmark": name, "machine": compare.machine(), "rounds": rounds, "workloads": {}}
    with nullcontext([options.words]) if options.words else workloads.usual(name) as chosen:
        for words in chosen:
            title = " ".join(word for word in words if not word.startswith("data.root="))
            say(title, error=True)
            found["workloads"][title] = measure(words)
    _written(options, found, page.markdown(found))


def _written(options: argparse.Namespace, found: dict[str, Any], text: str) -> None:
    """Print what was found, and write it where --out says."""
    name = options.benchmark
    say(text)
    if options.out:
        write_whole(options.out / f"{name}.json", (to_json(found, indent=1) + "\n").encode())
        write_whole(options.out / f"{name}.md", (text + "\n").encode())
