"""What computes, in which precision, and where its memory goes."""

import subprocess
import sys

import pytest
import torch

from ablate.data.dataset import Dataset
from ablate.training import device

ROUNDS = """
import resource, torch
from ablate.training.device import keep_memory
keep_memory()
for _ in range(3):  # 64 MiB, taken and freed
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
def test_a_cpu_computes_in_bfloat16_where_it_gains_by_it(monkeypatch, name, side, native, wanted):
    monkeypatch.setattr(device, "_multiplies_bfloat16", lambda: native)
    x, y = torch.zeros(4, 3, side, side, dtype=torch.uint8), torch.zeros(4)
    assert device.pick_precision(name, torch.device("cpu"), Dataset(x, y, x, y, ("a", "b"))) == wanted


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_memory_that_was_freed_is_there_without_a_page_fault():
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16  # of 16,384 pages
