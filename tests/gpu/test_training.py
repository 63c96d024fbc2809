"""Training on a GPU: the bits of resumed runs, precisions, CUDA graphs, and memory that runs out."""

import json
import math

import pytest
import torch

from ablate.training.graph import TOLERANCE

pytestmark = pytest.mark.gpu

FULL = """
import torch
from ablate.models.shortcuts import Identity

class Full(Identity):
    def __init__(self, *built, **how):
        super().__init__(*built, **how)
        if torch.cuda.is_available():  # a GPU of 8 MiB
            torch.cuda.set_per_process_memory_fraction(2**23 / torch.cuda.get_device_properties(0).total_memory)

    def forward(self, x, residual):
        if self.training and not torch.cuda.is_available():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(x, residual)
"""


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("graph", ["false", "true"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_resumed_run_ends_in_the_same_bits(precision, graph, resolve, train, device, deterministic):
    words = ("depth=8", "shortcut=dropout", "iterations=24", f"device={device}", f"graph={graph}", deterministic)
    config, how = resolve(*words), {"precision": getattr(torch, precision)}
    whole = train(config, **how)
    stopped = train(config, stop=13, **how)
    assert not same(stopped.weights, whole.weights)
    resumed = train(config, resume=stopped.state, **how)
    assert same(resumed.weights, whole.weights)
    assert whole.training.graphed == (graph == "true")


def test_run_gives_the_same_bits_twice(resolve, train, device, deterministic):
    config = resolve("depth=8", "shortcut=gate", "iterations=10", f"device={device}", deterministic)
    assert same(train(config).weights, train(config).weights)


def test_float32_gives_the_losses_of_a_cpu(resolve, train, device):
    """A GPU that computed in TF32, with 11 significant bits, would not."""
    words = ("depth=20", "shortcut=gate", "iterations=5", "recipe.learning_rate=0.01")
    expected = train(resolve(*words, "device=cpu")).losses
    assert train(resolve(*words, f"device={device}")).losses == pytest.approx(expected, rel=1e-4)


def test_bfloat16_gives_the_losses_of_float32(resolve, train, device):
    words = ("depth=8", "shortcut=gate", "epochs=3", f"device={device}")
    exact, rounded = (train(resolve(*words), precision=one) for one in (torch.float32, torch.bfloat16))
    assert rounded.losses[0] == pytest.approx(exact.losses[0], rel=1e-2)
    assert rounded.losses != exact.losses
    assert exact.losses[-1] < math.log(10) / 2
    assert abs(rounded.evaluations[-1].test_error - exact.evaluations[-1].test_error) < 10  # of about 10 to 20 %


@pytest.mark.parametrize("shortcut", ["identity", "gate", "conv1x1", "dropout"])
def test_graph_takes_the_steps_of_eager_mode(shortcut, resolve, train, device):
    words = ("depth=8", f"shortcut={shortcut}", "iterations=12", f"device={device}")
    eager, graphed = (train(resolve(*words, f"graph={value}")) for value in ("false", "true"))
    assert graphed.training.graphed
    assert not eager.training.graphed
    assert graphed.losses == pytest.approx(eager.losses, rel=10 * TOLERANCE)  # rounding grows from step to step


def test_out_of_memory_is_one_sentence(process, device, tmp_path):
    (tmp_path / "full.py").write_text(FULL)
    words = ("depth=8", "iterations=2", "recipe.batch=1200", f"device={device}", "shortcut._target_=full.Full")
    done = process("ablate", *words, path=tmp_path)
    assert done.status == 1
    assert "the GPU ran out of memory" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    (path,) = (tmp_path / "results" / "runs").glob("*/result.json")
    assert json.loads(path.read_text())["status"] == "failed"
