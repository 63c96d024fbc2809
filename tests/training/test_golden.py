"""Training computes what it computed before: the loss of each step of short runs, kept in golden.json.

The curves were recorded by commit d3b7685, before the code was rearranged, on an AMD EPYC with AVX-512. A change that moves
them changes what every record means, and needs a new SCHEMA in ablate/runs/identity.py.
"""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from ablate.data.dataset import normalise
from ablate.training import evaluate as evaluation
from ablate.training.loop import NullObserver
from ablate.training.setup import Setup

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
ROUNDING = {"float32": 2e-3, "float64": 1e-9}
"""Relative difference that another processor's order of summing may make within these steps."""


class Losses(NullObserver):
    """Keeps the loss of each step and each evaluation."""

    def __init__(self, training):
        self.losses, self.evaluations = [], []
        update = training.step.update_metrics

        def keep(loss, logits, y):
            self.losses.append(loss.item())
            update(loss, logits, y)

        training.step.update_metrics = keep

    def evaluation(self, evaluation):
        self.evaluations.append([evaluation.test_loss, evaluation.test_error])


def curve(config, dtype, monkeypatch):
    training = Setup(config).start(warn=pytest.fail, precision=torch.float32)
    if dtype == "float64":
        training.network.double()
        batches = training.step.batches
        monkeypatch.setattr(batches, "next", double_batches(batches))
        monkeypatch.setattr(evaluation, "normalise", in_double)
    observer = Losses(training)
    training.train(observer)
    return observer


def in_double(batch, mean):
    return (batch.double().div_(255) - mean).contiguous(memory_format=torch.channels_last)


def double_batches(batches):
    from ablate.data import batches as module

    take = type(batches).next

    def following():
        module.normalise = in_double
        try:
            return take(batches)
        finally:
            module.normalise = normalise

    return following


@pytest.mark.parametrize("name", GOLDEN["curves"])
def test_losses_are_those_of_before(name, resolve, monkeypatch):
    case, _, dtype = name.partition("/")
    golden = GOLDEN["curves"][name]
    found = curve(resolve(*GOLDEN["cases"][case], "device=cpu", "precision=float32"), dtype, monkeypatch)
    assert len(found.losses) == len(golden["losses"])
    assert found.losses == pytest.approx(golden["losses"], rel=ROUNDING[dtype])
    if dtype == "float64":
        assert torch.tensor(found.evaluations).flatten().tolist() == pytest.approx(
            torch.tensor(golden["evaluations"]).flatten().tolist(), rel=1e-6
        )
