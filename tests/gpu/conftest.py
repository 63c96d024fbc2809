"""What the tests share that need a GPU: which device they are on. ABLATE_GPU=cpu rehearses them on the CPU."""

import os

import pytest
import torch

from ablate.training import setup
from ablate.training.graph import checked_graph
from tests.training.conftest import start, train

__all__ = ["start", "train"]

REHEARSAL = os.environ.get("ABLATE_GPU") == "cpu"


@pytest.fixture(scope="session")
def device():
    """The value of `device`."""
    return "cpu" if REHEARSAL else "cuda"


@pytest.fixture
def deterministic():
    """The override, undone after the test: it holds for a whole process."""
    yield "deterministic=true"
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=REHEARSAL)
def graphs_on_a_cpu(monkeypatch):
    """In a rehearsal a function takes the place of a CUDA graph."""
    begin = setup.Setup.start

    def start(self, *, warn, **how):
        training = begin(self, warn=lambda sentence: None, **how)
        if self.config.graph:
            training.take = checked_graph(training.step, warn, lambda step: lambda: step())
        return training

    monkeypatch.setattr(setup.Setup, "start", start)
