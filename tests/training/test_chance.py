"""Runs that are stopped at chance: what chance is, when it is asked, and that no other run is changed."""

import math
from dataclasses import replace

import pytest
import scipy.stats
import torch

from ablate.training.chance import Chance, Check, chance_of, check_at

STILL = ("depth=8", "epochs=4", "recipe.batch=400", "recipe.learning_rate=1e-9", "device=cpu")
"""Twelve steps, three in an epoch, that learn nothing."""
LEARNS = ("depth=8", "epochs=3", "device=cpu")


@pytest.mark.parametrize("counts", [[5, 5], [3, 1], [90, 0, 9, 1], [7]])
def test_chance_is_the_entropy_of_the_labels_and_the_error_of_the_most_frequent_class(counts):
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    found = chance_of(labels[torch.randperm(len(labels))])
    assert found.loss == pytest.approx(scipy.stats.entropy(counts))
    assert found.error == pytest.approx(100 * (1 - max(counts) / sum(counts)))


def test_chance_of_two_equal_classes_is_ln_2_and_one_half():
    assert chance_of(torch.tensor([0, 1, 1, 0])) == pytest.approx((0.693147180559945, 50.0))


@pytest.mark.parametrize(
    ("loss", "error", "holds"),
    [
        (2.0, 90.0, True),
        (1.98, 85.5, True),  # 0.99 of 2.0, and 0.95 of 90
        (1.979, 90.0, False),
        (2.0, 85.4, False),
        (1e9, 60.0, False),  # a few batches lifted the mean; a third of the images get their class
        (math.inf, 90.0, True),
        (math.nan, 90.0, False),
    ],
)
def test_an_epoch_is_at_chance_by_its_loss_and_its_error(loss, error, holds):
    assert Chance(2.0, 90.0).holds(loss, error) is holds


@pytest.mark.parametrize(
    ("share", "steps", "ends"),
    [
        (0.3, 400, 120),
        (0.31, 400, 140),  # step 124, in the seventh epoch
        (0.3, 390, 120),  # 117
        (0.0001, 400, 20),  # step 0 is in no epoch: the first
        (0.99, 390, 390),  # 386, in the last epoch, which has ten steps: a run is not stopped there
    ],
)
def test_check_is_due_at_the_end_of_one_epoch(share, steps, ends):
    check = check_at(share, steps, Chance(2.0, 90.0))
    epochs = [(done, min(20, steps - done + 20)) for done in [*range(20, steps, 20), steps]]
    if steps % 20:
        epochs[-1] = (steps, steps % 20)
    assert [done for done, batches in epochs if check.due(done, batches)] == [ends]


def test_share_is_rounded_to_a_step():
    assert check_at(0.29, 100, Chance(2.0, 90.0)).step == 29  # 0.29 · 100 is 28.999999999999996 in floating point


def numbers(recorder):
    return [replace(one, seconds=0, images_per_second=0) for one in recorder.evaluations]


@pytest.fixture(scope="module")
def still(resolve, train):
    return train(resolve(*STILL, "stop_at_chance=0.5"))


def test_run_at_chance_stops_at_the_end_of_its_epoch_and_is_evaluated_there(still, resolve, train):
    assert (still.ending.stopped_at, still.ending.diverged_at, still.now) == (6, None, 6)
    whole = train(resolve(*STILL))
    assert whole.ending.stopped_at is None
    assert [one.step for one in whole.evaluations] == [3, 6, 9, 12]
    assert numbers(still) == numbers(whole)[:2]
    assert still.ending.predictions.shape == (500,)
    assert still.ending.train_loss == still.evaluations[-1].train_loss
    true = still.training.dataset.test_y
    assert 100 * (still.ending.predictions != true).double().mean().item() == still.evaluations[-1].test_error


def test_run_that_learns_goes_on_to_the_same_bits(resolve, train):
    plain, checked = train(resolve(*LEARNS)), train(resolve(*LEARNS, "stop_at_chance=0.3"))
    assert checked.training.check == Check(18, chance_of(plain.training.dataset.train_y))
    assert checked.ending.stopped_at is None
    assert numbers(checked) == numbers(plain)
    assert all(value.equal(checked.weights[name]) for name, value in plain.weights.items())


def test_run_is_checked_once_and_not_at_its_end(resolve, train, monkeypatch):
    asked = []
    monkeypatch.setattr(Chance, "holds", lambda *numbers: bool(asked.append(numbers)))
    found = train(resolve(*STILL, "stop_at_chance=0.5"))
    assert (len(asked), found.ending.stopped_at) == (1, None)
    assert asked[0][1:] == (found.evaluations[1].train_loss, found.evaluations[1].train_error)
    monkeypatch.setattr(Chance, "holds", lambda *numbers: True)
    assert train(resolve(*STILL, "stop_at_chance=0.9")).ending.stopped_at is None


# In the middle of an epoch before the check; within the epoch of the check; at its end, before it is evaluated.
@pytest.mark.parametrize("stop", [2, 5, 6])
def test_resumed_run_stops_at_the_same_step(stop, still, resolve, train):
    config = resolve(*STILL, "stop_at_chance=0.5")
    begun = train(config, stop=stop)
    assert begun.ending is None
    resumed = train(config, resume=begun.state)
    assert resumed.ending.stopped_at == 6
    assert resumed.ending.train_loss == still.ending.train_loss
    assert numbers(begun) + numbers(resumed) == numbers(still)
    assert all(value.equal(resumed.weights[name]) for name, value in still.weights.items())


def test_run_whose_weights_are_not_finite_at_the_check_diverged(resolve, train):
    def spoil(training):
        evaluate = training.evaluate
        training.evaluate = lambda pause: evaluate(pause)._replace(loss=math.inf)

    found = train(resolve(*STILL, "stop_at_chance=0.5"), prepare=spoil)
    assert (found.ending.stopped_at, found.ending.diverged_at) == (None, 5)
