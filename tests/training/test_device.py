import subprocess
import sys

import pytest
import torch

from ablate.base.errors import ConfigError
from ablate.training import device

ROUNDS = """
import resource, torch
from ablate.training.device import keep_memory
keep_memory()
for _ in range(24):  # 64 MiB, allocated and freed; up to 9 rounds until the heap is stable, by its address
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.parametrize("name", ["cuda:99", "mps"])
def test_missing_device_is_refused(name, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"^device={name} is not available .*: use device=auto or device=cpu$"):
        device.pick_device(name)


def test_deterministic_holds_for_one_run_of_a_process(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    try:
        for deterministic in (True, False):
            device.set_deterministic(torch.device("cuda"), deterministic)
            assert torch.are_deterministic_algorithms_enabled() == deterministic
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_memory_is_reused_without_page_faults():
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16  # of 16,384 pages
