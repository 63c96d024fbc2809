"""Several processes on a GPU: packed runs, alone and by MPS, and one run by all GPUs."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from ablate.grid import packing
from tests.conftest import ROOT
from tests.gpu.conftest import REHEARSAL
from tests.waiting import LIMIT

pytestmark = pytest.mark.gpu

CONTROL = "nvidia-cuda-mps-control"
CALLS = '#!/bin/sh\n[ "$1" = -d ] || cat >> "$CUDA_MPS_LOG_DIRECTORY/calls"\n'
GIB = 2**30


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(packing, "SECONDS", 0.5)


def tried(resolve, device):
    return packing._try(resolve("depth=8", f"device={device}"), 2, None if REHEARSAL else "0", 1)


def results(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("digits-*/result.json"))]


def test_two_runs_share_a_gpu(resolve, device, quick):
    trial = tried(resolve, device)
    assert trial.runs == 2
    assert trial.images_per_second > 0
    assert trial.memory < 4 * GIB  # it is a small network
    assert trial.free > 0


def test_packed_grid_gives_the_same_bits(ask, process, device, tmp_path, deterministic):
    words = ("-m", "depth=8", "epochs=1", "threads=1", "seed=0,1", "shortcut=dropout", f"device={device}")
    said = ask(*words, deterministic, f"results={tmp_path / 'one'}")
    assert said.status == 0, said.err
    done = process("ablate", *words, deterministic, "pack=2", "results=packed")
    assert done.status == 0, done.err
    one, both = results(tmp_path / "one"), results(tmp_path / "packed")
    assert [run["runs_at_once"] for run in both] == [2, 2]
    assert [run["weights_sha256"] for run in both] == [run["weights_sha256"] for run in one]
    assert {run["device_type"] for run in both} == {device}


def test_two_runs_share_a_gpu_by_mps(resolve, device, quick, tmp_path, monkeypatch):
    folders = {f"CUDA_MPS_{name}_DIRECTORY": tmp_path / name for name in ("PIPE", "LOG")}
    for variable, folder in folders.items():
        folder.mkdir()
        monkeypatch.setenv(variable, str(folder))
    if REHEARSAL:
        (tmp_path / CONTROL).write_text(CALLS)
        (tmp_path / CONTROL).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    if not shutil.which(CONTROL):
        pytest.skip(f"{CONTROL} is not on the path")
    # Nothing may keep a pipe of the daemon open, or waiting for its end would last as long as it does.
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    if subprocess.run([CONTROL, "-d"], timeout=30, **nowhere).returncode:
        pytest.skip("MPS does not start here")
    try:
        trial = tried(resolve, device)
    finally:
        subprocess.run([CONTROL], input="quit\n", text=True, timeout=30, check=False)
    assert trial.images_per_second > 0
    if REHEARSAL:
        assert (tmp_path / "LOG" / "calls").read_text() == "quit\n"
    else:
        assert "server" in (tmp_path / "LOG" / "control.log").read_text().lower()  # a process has asked for one


def test_processes_of_one_run_train_as_one(ask, device, tmp_path):
    """On all GPUs by NCCL; with one GPU or none, two processes on the CPU by gloo."""
    count = torch.cuda.device_count()
    size, where = (count, "cuda") if count > 1 else (2, "cpu")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={size}"]
    words = ["depth=8", "iterations=20", f"recipe.batch={size * 60}", "sync_batch_norm=true", f"device={where}"]
    words += ["recipe.learning_rate=0.01", "threads=1"]
    said = ask(*words, f"results={tmp_path / 'one'}")
    assert said.status == 0, said.err
    environment = {**os.environ, "PYTHONPATH": ROOT, "GLOO_SOCKET_IFNAME": "lo"}
    command = [*torchrun, "-m", "ablate", *words, "results=all"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr[-2000:]
    (one,), (all_of_them,) = results(tmp_path / "one"), results(tmp_path / "all")
    assert (one["processes"], all_of_them["processes"]) == (1, size)
    assert all_of_them["normalised_over"] == size * 60
    assert all_of_them["train_loss"] == pytest.approx(one["train_loss"], rel=1e-3)
