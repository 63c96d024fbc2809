import copy
import os
import subprocess
import sys

import pytest
import torch

from ablate.base.errors import ConfigError
from ablate.base.place import Place
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


@pytest.fixture
def gpus(monkeypatch):
    """`gpus(count)` makes this a machine with so many GPUs, and returns a list of those that were chosen."""
    chosen = []
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "set_device", lambda one: chosen.append(str(one)))

    def have(count):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
        return chosen

    return have


@pytest.mark.parametrize(
    ("name", "count", "here"),
    [("cuda", 0, "none"), ("cuda:0", 0, "none"), ("mps", 2, "none"), ("cuda:2", 2, "2 of that kind"),
     ("cuda:99", 1, "1 of that kind")],
)  # fmt: skip
def test_missing_device_is_refused(name, count, here, gpus):
    gpus(count)
    with pytest.raises(ConfigError) as caught:
        device.pick_device(name)
    assert str(caught.value) == (
        f"device={name} is not available (this machine has {here}): use device=auto or device=cpu"
    )


def test_mps_is_for_one_process(gpus, monkeypatch):
    gpus(0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    assert device.pick_device("auto").type == "mps"
    with pytest.raises(ConfigError, match="device=mps is for one process, and these are 2"):
        device.pick_device("auto", Place(0, 2, 0, 2))


@pytest.mark.parametrize(
    ("name", "count", "picked", "chosen"),
    [
        *[("auto", 0, "cpu", []), ("auto", 2, "cuda", []), ("cpu", 2, "cpu", []), ("cuda", 1, "cuda", [])],
        *[("cuda:0", 1, "cuda:0", ["cuda:0"]), ("cuda:1", 2, "cuda:1", ["cuda:1"])],
    ],
)
def test_device_is_the_named_one_or_the_first_that_exists(name, count, picked, chosen, gpus):
    made = gpus(count)
    assert str(device.pick_device(name)) == picked
    assert made == chosen


def test_precision_is_the_named_one_without_tf32():
    places = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [place.allow_tf32 for place in places]
    try:
        for name, precision in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
            for place in places:
                place.allow_tf32 = True
            assert device.pick_precision(name) is precision
            assert not any(place.allow_tf32 for place in places)
    finally:
        for place, value in zip(places, before, strict=True):
            place.allow_tf32 = value


def test_network_moves_with_parameters_of_any_dimension():
    network = torch.nn.Conv2d(1, 3, 3)
    strides = copy.deepcopy(network).to(memory_format=torch.channels_last).weight.stride()
    network.states = torch.nn.Parameter(torch.zeros(1, 2, 3, 4, 5))
    weight = network.weight
    device.move(network, torch.device("cpu"))
    assert network.weight is weight
    assert weight.stride() == strides
    assert network.states.is_contiguous()


@pytest.mark.parametrize("before", [None, ":16:8"])
def test_deterministic_holds_for_one_run_of_a_process(before, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", before or "")
    if before is None:
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    try:
        device.set_deterministic(torch.device("cpu"), True)
        assert not torch.are_deterministic_algorithms_enabled()
        for deterministic in (True, False):
            device.set_deterministic(torch.device("cuda"), deterministic)
            assert torch.are_deterministic_algorithms_enabled() == deterministic
            assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == (before or ":4096:8")
            assert not torch.backends.cudnn.benchmark
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_freed_memory_is_reused_without_page_faults():
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16  # of 16,384 pages
