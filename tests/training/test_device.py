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


@pytest.mark.parametrize(
    ("name", "side", "native", "wanted"),
    [
        ("auto", 32, True, torch.bfloat16),
        ("auto", 16, True, torch.bfloat16),
        ("auto", 8, True, torch.float32),
        ("auto", 32, False, torch.float32),
        ("bfloat16", 8, False, torch.bfloat16),
        ("float32", 32, True, torch.float32),
    ],
)
def test_cpu_uses_bfloat16_where_it_is_faster(monkeypatch, name, side, native, wanted):
    monkeypatch.setattr(device, "_multiplies_bfloat16", lambda: native)
    assert device.pick_precision(name, torch.device("cpu"), (3, side, side)) == wanted


@pytest.mark.parametrize("name", ["cuda:99", "mps"])
def test_missing_device_is_refused(name, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=f"^device={name} is not available .*: use device=auto or device=cpu$"):
        device.pick_device(name)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_memory_is_reused_without_page_faults():
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16  # of 16,384 pages
