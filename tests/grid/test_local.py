"""Several runs of a grid at once in processes of this machine: devices, kills, signals."""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from ablate.base.machine import cores
from ablate.grid import local
from ablate.grid.local import ProcessLauncher, assigned_devices, gpus
from ablate.runs.attempt import Outcome
from ablate.runs.stopping import Stopping
from tests.forked import Command
from tests.waiting import LIMIT, held, until

TINY = ("-m", "depth=8", "threads=1", "results=runs")
CARRY_OUT = "ablate.grid.local._carry_out"
PARALLEL = (*TINY, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.mark.parametrize(
    ("visible", "device", "assigned"),
    [
        ("0,1", "auto", ["0", "1", "0"]),
        ("3", "cuda", ["3", "3", "3"]),
        ("GPU-8a,MIG-1/2/0", "auto", ["GPU-8a", "MIG-1/2/0", "GPU-8a"]),
        ("0,1", "cuda:1", [None, None, None]),
        ("0,1", "cpu", [None, None, None]),
        ("", "auto", [None, None, None]),
        ("-1", "auto", [None, None, None]),
        ("2,-1,3", "auto", ["2", "2", "2"]),
    ],
)
def test_slots_are_assigned_devices_in_turn(visible, device, assigned, monkeypatch, record):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert assigned_devices([record(f"device={device}")], 3) == assigned


def test_gpus_are_numbered_as_cuda_does(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert gpus() == ["0", "1"]


@pytest.mark.parametrize(
    ("cuda", "words", "slots", "assigned"),
    [
        (1, (), 1, {"0"}),
        (4, ("device=cuda",), 4, {"0", "1", "2", "3"}),
        (4, ("device=cuda:2",), 1, {None}),
        (4, ("device=cpu",), 16, {None}),
        (4, ("pack=3",), 12, {"0", "1", "2", "3"}),
        (0, (), 16, {None}),
        (0, ("pack=3",), 3, {None}),
    ],
)
def test_one_run_for_each_gpu_or_core_at_once_by_default(cuda, words, slots, assigned, record, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: cuda)
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda > 0)
    monkeypatch.setattr(local, "cores", lambda: 16)
    devices = []

    def start(begin, device, *_, **__):
        devices.append(device)
        raise OSError("no more processes")

    monkeypatch.setattr(local, "Worker", start)
    launcher = ProcessLauncher(-1)
    launcher.carry_out([record(f"seed={seed}", *words) for seed in range(20)])
    assert launcher.slots == slots
    assert set(devices) == assigned


def test_one_run_at_once_on_an_apple_gpu(record, monkeypatch):
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr(local, "cores", lambda: 16)
    assert local.packed([record()] * 9, Stopping()) == 1
    assert local.packed([record("device=cpu")] * 9, Stopping()) == 16


def test_cores_are_those_that_slurm_gives_the_task(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "3")
    assert cores() == 3
    monkeypatch.delenv("SLURM_CPUS_PER_TASK")
    assert cores() >= 1


def seen(record, label, workers):
    """Takes the place of a run in a worker process: says what it would see."""
    Path(record.config.results, str(os.getpid())).touch()
    until(lambda: len(os.listdir(record.config.results)) == 2)  # a run in each of two processes
    return Outcome(message=f"{os.environ['CUDA_VISIBLE_DEVICES']} {'torch' in sys.modules} {workers}")


def test_each_worker_process_sees_one_device_before_torch_is_imported(record, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setattr(local, "_carry_out", seen)
    outcomes = ProcessLauncher(2).carry_out([record(f"seed={seed}", f"results={tmp_path}") for seed in range(2)])
    assert {outcome.message for outcome in outcomes} == {"5 False 2", "7 False 2"}


def test_runs_fail_if_no_process_can_be_started(record, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no more processes")

    monkeypatch.setattr(local, "Worker", refuse)
    outcomes = ProcessLauncher(2).carry_out([record(f"seed={seed}") for seed in range(3)])
    assert [(outcome.status, outcome.message) for outcome in outcomes] == [(1, "OSError: no more processes")] * 3


def weights(folder):
    """The hash of the weights of each finished run."""
    found = ((path.parent.name, json.loads(path.read_text())) for path in folder.glob("digits-*/result.json"))
    return {name: result["weights_sha256"] for name, result in found if result["status"] == "finished"}


def test_killed_worker_fails_only_its_run_and_the_next_request_completes_the_grid(tmp_path):
    grid = (held(tmp_path, "Dropout", step=30), "seed=0,1,2", "checkpoint.steps=5", "epochs=2")
    process = Command(*PARALLEL, *grid, cwd=tmp_path)
    until(lambda: list(tmp_path.glob("runs/*/checkpoint.pt")), process, "a checkpoint")
    time.sleep(random.uniform(0, 0.5))  # any moment will do
    lock = random.choice(list(tmp_path.glob("runs/*/lock-*.json")))
    victim = lock.parent
    os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)
    (tmp_path / "hold").unlink()
    _, err = process.communicate()
    assert process.returncode == 1, err
    assert f"{victim.name} failed: its process was killed" in err
    assert f"{victim.relative_to(tmp_path)}/run.log" in err
    assert len(weights(tmp_path / "runs")) == 2
    out, err = Command(*TINY, *grid, cwd=tmp_path).communicate()
    assert "3 runs in the grid, 1 to train" in out, err
    assert len(weights(tmp_path / "runs")) == 3
    # the bits of a grid that nothing happens to
    Command(*TINY, *grid, "results=whole", cwd=tmp_path).communicate()
    assert weights(tmp_path / "runs") == weights(tmp_path / "whole")


def test_workers_of_a_killed_grid_write_checkpoints_and_end(tmp_path):
    process = Command(*PARALLEL, "epochs=200", "seed=0,1", cwd=tmp_path)
    until(lambda: list(tmp_path.glob("runs/*/metrics.jsonl")), process, "a run")
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) >= 2
    process.kill()
    _, alive = psutil.wait_procs(workers, timeout=LIMIT)
    for worker in alive:
        worker.kill()
    process.communicate()
    assert not alive
    assert list(tmp_path.glob("runs/*/checkpoint.pt"))
    assert not list(tmp_path.glob("runs/*/lock-*"))


RUNS = """
import signal, time
from pathlib import Path

from ablate.runs.attempt import Outcome
from ablate.runs.stopping import Stopping

def stops(record, label, workers):
    with Stopping() as stopping:
        while stopping.signum is None:
            time.sleep(0.02)
        stopping.answered = True
    return Outcome(128 + stopping.signum, interrupted=True)

def stuck(record, label, workers):
    signal.signal(signal.SIGTERM, lambda *_: Path("asked to stop").touch())
    Path("began").touch()
    while True:
        time.sleep(600)
"""


@pytest.fixture
def grid(tmp_path):
    """Starts a grid of three endless runs in two processes: `grid("stops")` runs until a signal, "stuck" ignores it.

    Returns its process and those of its workers.
    """
    (tmp_path / "endless.py").write_text(RUNS)
    started = []

    def start(run):
        process = Command(*PARALLEL, "seed=0,1,2", cwd=tmp_path, replaced={CARRY_OUT: f"endless:{run}"})
        started.append(process)
        family = psutil.Process(process.pid)
        until(lambda: len(family.children()) >= 2, process, "workers")
        return process, family.children(recursive=True)

    yield start
    for process in started:
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])  # by Ctrl-C, by closing it
def test_signal_of_the_terminal_while_workers_start_is_handled_by_the_grid(number, grid):
    process, workers = grid("stops")
    os.killpg(process.pid, number)  # as a terminal does: to every process
    _, err = process.communicate()
    assert process.returncode == 128 + number
    assert err.splitlines()[-1].startswith("ablate: interrupted with 3 runs to go")
    assert "Traceback" not in err
    assert not psutil.wait_procs(workers, timeout=LIMIT)[1]


def test_second_ctrl_c_kills_the_runs(grid, tmp_path):
    process, workers = grid("stuck")
    until((tmp_path / "began").exists, process, "a run")
    process.send_signal(signal.SIGINT)
    until((tmp_path / "asked to stop").exists, process, "the grid's signal")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not psutil.wait_procs(workers, timeout=LIMIT)[1]
