"""A graph is used only if it computes what eager steps compute, and leaves no trace if it is not used.

There is no GPU here: functions of Python take the place of captured graphs.
"""

import contextlib
import math
from types import SimpleNamespace

import pytest
import torch

from ablate.base.errors import AblateError
from ablate.training.graph import STEPS, checked_graph
from ablate.training.schedule import learning_rate


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def config(resolve):
    return resolve("depth=8", "shortcut=dropout", "epochs=2", "device=cpu")


@pytest.fixture(scope="module")
def eager(resolve, train):
    """The configuration's weights by eager steps."""
    return train(resolve("depth=8", "shortcut=dropout", "epochs=2", "device=cpu")).weights


def test_graph_that_computes_the_same_is_used_and_leaves_no_trace(config, train, eager):
    replayed = []

    def capture(step):
        return lambda: (replayed.append(1), step())

    graphed = train(config, capture=capture)
    assert same(graphed.weights, eager)  # dropout's random numbers too
    assert len(replayed) == STEPS + 40
    assert graphed.training.graphed


def test_run_with_a_graph_is_stopped_at_chance_at_the_same_step(resolve, train):
    words = ("depth=8", "iterations=12", "recipe.batch=400", "recipe.learning_rate=1e-9", "stop_at_chance=0.5")
    config = resolve(*words, "device=cpu")
    graphed, eager = train(config, capture=lambda step: lambda: step()), train(config)
    assert graphed.training.graphed
    assert graphed.ending.stopped_at == eager.ending.stopped_at == 6
    assert graphed.ending.train_loss == eager.ending.train_loss


def twice(step):
    def take():
        step()
        step.batches.index -= 1
        step()

    return take


def test_graph_that_computes_something_else_is_not_used(config, train, eager):
    warnings = []
    graphed = train(config, capture=twice, warn=warnings.append)
    assert same(graphed.weights, eager)
    assert not graphed.training.graphed
    (warning,) = warnings
    assert "differs from eager steps" in warning


def test_graph_is_checked_at_the_learning_rate_of_its_step(config, train):
    rates = []

    def capture(step):
        rates.append(step.rate.item())
        return step

    train(config, capture=capture)
    warmup = learning_rate(0, 40, config.recipe)
    assert rates == [pytest.approx(warmup)]
    assert warmup < config.recipe.learning_rate


def test_failed_capture_ends_the_run_with_its_cause(config, train):
    def capture(step):
        try:
            raise ValueError("a sync in a custom shortcut")
        finally:
            raise RuntimeError("capture was invalidated")

    with pytest.raises(AblateError, match=r"ValueError: a sync in a custom shortcut; add graph=false"):
        train(config, capture=capture)
    with pytest.raises(AblateError, match=r"^no CUDA graph of this step: ZeroDivisionError: .*; add graph=false$"):
        train(config, capture=lambda _: 1 / 0)


def test_capture_and_its_warm_up_are_on_a_stream_of_their_own(config, start, monkeypatch):
    """CUDA refuses to capture on the default stream."""
    entered, within, step = [], [], start(config).step
    nothing = SimpleNamespace(**dict.fromkeys(("synchronize", "get_rng_state"), lambda: None), set_rng_state=id)
    monkeypatch.setattr(torch, "get_device_module", lambda _: nothing)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: "own")
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext(entered.append(stream)))
    step.device = torch.device("cuda")
    replay = checked_graph(step, pytest.fail, lambda step: within.append([*entered]) or step)
    assert replay is step
    assert within == [["own"]]


def test_no_graph_is_captured_if_epochs_are_too_short_to_check_it(config, train):
    config.recipe.batch, warnings = 600, []
    graphed = train(config, capture=lambda step: pytest.fail("an epoch has two steps"), warn=warnings.append)
    assert warnings == ["no CUDA graph: its check needs 3 steps in an epoch"]
    assert not graphed.training.graphed
    assert same(graphed.weights, train(config).weights)


def test_graph_is_checked_in_an_epoch_of_just_enough_steps(config, train):
    config.recipe.batch = 400
    assert train(config, capture=lambda step: lambda: step()).training.graphed


@pytest.mark.parametrize("stop", [7, 19, 20, 33])
def test_resumed_run_with_a_graph_ends_in_the_same_bits(config, train, eager, stop):
    def capture(step):
        return lambda: step()

    stopped = train(config, capture=capture, stop=stop)
    resumed = train(config, capture=capture, resume=stopped.state)
    assert same(resumed.weights, eager)


def test_graph_is_used_where_eager_losses_are_not_finite_either(resolve, train):
    config = resolve("depth=8", "iterations=3", "device=cpu", "recipe.learning_rate=1e38", "recipe.warmup=0")
    graphed = train(config, capture=lambda step: lambda: step())
    assert not math.isfinite(graphed.losses[1])
    assert graphed.training.graphed
