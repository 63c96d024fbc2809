"""A configuration's training: ready to start, or trained under observation."""

import contextlib
import copy

import pytest
import torch

from ablate.training.graph import checked_graph
from ablate.training.loop import NullObserver
from ablate.training.setup import Setup


class Recorder(NullObserver):
    """Keeps the loss of each step and all evaluations; stops with a checkpoint after `stop` steps."""

    def __init__(self, training, stop):
        self.training, self.stop, self.now = training, stop, 0
        self.losses, self.evaluations, self.state, self.ending = [], [], None, None

    @property
    def weights(self):
        return self.training.network.state_dict()

    def step(self, step):
        self.now = step
        self.losses.append(self.training.step.losses[(step - 1) % self.training.step.batches.per_epoch].item())

    def evaluation(self, evaluation):
        self.evaluations.append(evaluation)

    def wants_checkpoint(self):
        return self.now == self.stop

    def checkpoint(self, state):
        self.state = copy.deepcopy(state)
        raise InterruptedError


@pytest.fixture(scope="session")
def start():
    """`start(config)` is the Training of a configuration; `dtype=torch.float64` computes all of it in float64."""

    def started(config, *, dtype=torch.float32, precision=torch.float32):
        setup = Setup(config)
        if dtype == torch.float64:
            setup.network.double()
        training = setup.start(warn=pytest.fail, precision=precision)
        step = training.step
        step.batches.mean, step.losses = step.batches.mean.to(dtype), step.losses.to(dtype)
        return training

    return started


@pytest.fixture(scope="session")
def train(start):
    """`train(config)` trains it and returns its Recorder.

    `capture` takes the place of CUDA's; `prepare` changes the Training before it begins.
    """

    def trained(
        config, *, stop=None, resume=None, capture=None, warn=pytest.fail, prepare=None, recorder=Recorder, **how
    ):
        training = start(config, **how)
        if capture:
            training.take = checked_graph(training.step, warn, capture)
        if prepare:
            prepare(training)
        observer = recorder(training, stop)
        with contextlib.suppress(InterruptedError):
            observer.ending = training.train(observer, resume)
        return observer

    return trained
