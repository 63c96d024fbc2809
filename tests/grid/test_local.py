"""Runs side by side on one machine: what each process is given."""

import json
import os
import queue
import signal
import subprocess
import sys
import time

import psutil
import pytest

from ablate.base.machine import cores, gpus
from ablate.grid import local as launch
from ablate.grid.local import ProcessLauncher, shared_out
from ablate.runs.stopping import Stopping
from tests.waiting import LIMIT, until


@pytest.mark.parametrize(
    ("visible", "device", "shares"),
    [
        ("0,1", "auto", ["0", "1", "0"]),
        ("3", "cuda", ["3", "3", "3"]),
        ("GPU-8a,MIG-1/2/0", "auto", ["GPU-8a", "MIG-1/2/0", "GPU-8a"]),
        ("0,1", "cuda:1", [None, None, None]),
        ("0,1", "cpu", [None, None, None]),
        ("", "auto", [None, None, None]),
    ],
)
def test_slots_take_turns_at_the_devices(visible, device, shares, monkeypatch, resolve):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert shared_out([resolve(f"device={device}")], 3) == shares


def test_without_a_word_of_the_environment_the_devices_are_the_machines(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert all(name.isdigit() for name in gpus())


def test_cores_are_what_slurm_gave_the_task(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert cores() == 3
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert cores() >= 1


SEEING = """
import os
from ablate.models.shortcuts import Identity

class Seeing(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride, option="A")
        with open("seen.txt", "a") as file:
            file.write(os.environ.get("CUDA_VISIBLE_DEVICES", "all") + " " + str(os.getpid()) + chr(10))
"""


def test_each_process_sees_one_device(process, tmp_path):
    (tmp_path / "seeing.py").write_text(SEEING)
    words = ("depth=8", "iterations=2", "threads=1", "seed=0,1", "shortcut._target_=seeing.Seeing")
    grid = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *words)
    outcome = process("ablate", *grid, path=tmp_path, CUDA_VISIBLE_DEVICES="5,7")
    assert outcome.status == 0, outcome
    seen = {tuple(line.split()) for line in (tmp_path / "seen.txt").read_text().splitlines()}
    assert len({pid for _, pid in seen}) == len(seen)  # one device a process
    assert {device for device, _ in seen} == {"5", "7"}
    records = [json.loads(path.read_text()) for path in tmp_path.glob("results/runs/*/result.json")]
    assert [record["status"] for record in records] == ["finished", "finished"]


def test_where_no_process_can_be_started_each_run_has_its_answer(resolve, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(launch, "ProcessPoolExecutor", refuse)
    outcomes = ProcessLauncher(2).carry_out([resolve(f"seed={seed}") for seed in range(3)])
    assert [(outcome.status, outcome.message) for outcome in outcomes] == [(1, "OSError: no more processes")] * 3


def test_a_slot_that_has_ended_signals_nobody():
    slot = launch._Slot(1, [], [], queue.SimpleQueue(), Stopping(), None)
    slot.pid = os.getpid()
    slot.run()
    assert slot.pid is None


@pytest.fixture
def grid(tmp_path):
    """A grid of three runs in two processes, in a process group of its own, with the workers it has begun."""
    words = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "depth=8", "seed=0,1,2", f"results={tmp_path}"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "ablate", *words, "iterations=100000"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    family = psutil.Process(process.pid)
    until(lambda: len(family.children()) >= 2, process, "workers")
    yield process, family.children(recursive=True)
    process.kill()


def test_ctrl_c_while_processes_start_is_the_grids_alone(grid):
    process, workers = grid
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("ablate: interrupted with 3 runs to go")
    assert "Traceback" not in said
    assert not psutil.wait_procs(workers, timeout=LIMIT)[1]


def test_a_second_ctrl_c_waits_for_no_run(grid, tmp_path):
    process, workers = grid
    until(lambda: list(tmp_path.glob("digits-*/lock-*")), process, "a run")
    for _ in range(2):  # to the grid alone: its runs hear of it from the grid, or not at all
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
    _, said = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not psutil.wait_procs(workers, timeout=LIMIT)[1]
