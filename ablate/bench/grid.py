"""A whole grid in wall time: as the harness carries it out, and row after row by the reference loop."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from ablate.base.errors import AblateError, ConfigError
from ablate.base.machine import cores
from ablate.base.terminal import say
from ablate.bench.reference import Reference
from ablate.config.schema import Config
from ablate.runs.reading import read_runs


def grid(words: list[str]) -> dict[str, Any]:
    """`ablate -m WORDS` into a folder of its own, then the same runs by the reference loop."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ablate", "-m", *words, f"results={folder}"]
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        if done.returncode == ConfigError.exit_status:
            raise ConfigError(f"there is no such grid: {' '.join(words)}")
        if done.returncode:
            raise AblateError(f"the grid failed: {' '.join(words)}")
        say("\n".join(line for line in done.stdout.splitlines() if line.startswith("pack=")), error=True)
        harness = time.perf_counter() - began
        runs = read_runs(Path(folder)).runs
    if other := [run for run in runs if run.state != "finished"]:
        raise AblateError(f"{other[0].folder.name} is {other[0].state}: only runs of full length can be compared")
    torch.set_num_threads(cores())
    images = sum(run.result["steps"] * run.config["recipe"]["batch"] for run in runs)
    began = time.perf_counter()
    for number, run in enumerate(runs, 1):
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), run.config))
        assert isinstance(config, Config)
        error = Reference(config).run()
        say(f"  reference {number} of {len(runs)}: test error {error:.2f} %", error=True)
    reference = time.perf_counter() - began
    return {
        "command": " ".join(["ablate -m", *(re.sub("^data.root=.*", "data.root=FOLDER", word) for word in words)]),
        "runs": len(runs),
        "images": images,
        "precision": sorted({run.result["precision"] for run in runs}),
        "threads": sorted({run.result["threads"] for run in runs}),
        "runs_at_once": sorted({run.result["runs_at_once"] for run in runs}),
        "seconds": {"harness": harness, "reference loop": reference},
        "images_per_second": {"harness": images / harness, "reference loop": images / reference},
        "times_faster": reference / harness,
    }
