"""The loop against one that is written out here, and what it reports."""

import hashlib
import math
import time
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from ablate.data.load import load
from ablate.models.build import build
from ablate.models.shortcuts import Identity

BATCH, LENGTH, PER_EPOCH = 100, 25, 12


def draw(seed, epoch, count, shift):
    """Order, offsets and flips of an epoch, from a stream of the seed and the epoch."""
    digest = hashlib.sha256(f"{seed}/augment/{epoch}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:4], "big"))
    order = torch.randperm(count, generator=generator).tolist()
    offsets = torch.randint(2 * shift + 1, (count, 2), generator=generator).tolist()
    return order, offsets, torch.randint(2, (count,), generator=generator).tolist()


def independent(config, exempt):
    """Losses of steps, and (training error, test loss, test error) of epochs, image by image in float64.

    [A] §4.2: pad, crop, flip, subtract the mean; SGD with momentum and weight decay, the latter on all parameters but
    those whose names end in `exempt`; a rate in three pieces.
    """
    shift, data = config.data.shift, load(config.data)
    network = build(config, shape=(1, 8, 8), classes=10).double()
    velocities = [torch.zeros_like(parameter) for parameter in network.parameters()]
    mean = (data.train_x.double().sum(0) / (255 * len(data.train_x))).float().double()
    losses, epochs, wrong = [], [], 0
    for step in range(LENGTH):
        epoch, index = divmod(step, PER_EPOCH)
        order, offsets, flips = draw(config.seed, epoch, len(data.train_y), shift)
        images, labels = [], []
        for place in range(index * BATCH, (index + 1) * BATCH):
            image = data.train_x[order[place]].double() / 255 - mean
            top, left = offsets[place]
            image = functional.pad(image, (shift,) * 4)[:, top : top + 8, left : left + 8]
            images.append(image.flip(2) if flips[place] else image)
            labels.append(data.train_y[order[place]])
        network.train()
        logits, y = network(torch.stack(images)), torch.stack(labels)
        loss = (logits.logsumexp(1) - logits[torch.arange(BATCH), y]).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        rate = 0.004 if step < 5 else 0.04 if step < 12 else 0.004 if step < 20 else 0.0004
        with torch.no_grad():
            for (name, w), v, gradient in zip(network.named_parameters(), velocities, gradients, strict=True):
                v.mul_(0.8).add_(gradient if name.endswith(exempt) else gradient + 0.01 * w)
                w -= torch.tensor(rate).item() * v  # rounded to float32, as a run's rate is
        losses.append(loss.item())
        wrong += int((logits.argmax(1) != y).sum())
        if index == PER_EPOCH - 1 or step == LENGTH - 1:
            network.eval()
            with torch.no_grad():
                logits = network(data.test_x.double() / 255 - mean)
            found = functional.cross_entropy(logits, data.test_y).item()
            error = 100 * (logits.argmax(1) != data.test_y).double().mean().item()
            epochs.append((100 * wrong / (BATCH * (index + 1)), found, error))
            wrong = 0
    return losses, epochs


@pytest.mark.parametrize(("decay_bias", "exempt"), [("true", ()), ("false", "gate.bias")])
def test_losses_and_errors_are_those_of_an_independent_loop(decay_bias, exempt, resolve, train):
    recipe = {"batch": BATCH, "learning_rate": 0.04, "warmup": 0.2, "milestones": "[0.48,0.8]"}  # one at an epoch's end
    recipe |= {"momentum": 0.8, "weight_decay": 0.01}
    words = [f"recipe.{key}={value}" for key, value in recipe.items()]
    more = ("device=cpu", "seed=3", f"iterations={LENGTH}", "data.flip=true", "data.shift=2")
    gate = ("shortcut=gate", "shortcut.weight_init=he", f"shortcut.decay_bias={decay_bias}")
    config = resolve("depth=8", *gate, *more, *words)
    found = train(config, dtype=torch.float64)
    losses, epochs = independent(config, exempt)
    assert found.losses == pytest.approx(losses, rel=1e-12)
    for one, (train_error, test_loss, test_error) in zip(found.evaluations, epochs, strict=True):
        assert (one.train_error, one.test_error) == pytest.approx((train_error, test_error))
        assert one.test_loss == pytest.approx(test_loss, rel=1e-5)  # summed in float32
    assert [(one.step, one.epoch, one.lr) for one in found.evaluations] == [
        (12, 1, pytest.approx(0.04)), (24, 2, pytest.approx(0.0004)), (25, 3, pytest.approx(0.0004))
    ]  # fmt: skip
    assert [one.train_loss for one in found.evaluations] == pytest.approx(
        [sum(losses[:12]) / 12, sum(losses[12:24]) / 12, losses[24]]
    )


class Exploding(nn.Module):
    """A residual sum that is not finite from one forward pass in training on."""

    passes = 0
    limit = math.inf

    def __init__(self, *_):
        super().__init__()

    def forward(self, x, residual):
        Exploding.passes += self.training
        return residual * (math.inf if Exploding.passes > Exploding.limit else 1)


@pytest.mark.parametrize(("limit", "diverged"), [(1, 1), (24, 24), (math.inf, None)])
def test_step_of_divergence_is_found(limit, diverged, resolve, train, monkeypatch):
    # Three units a pass: a limit of whole passes.
    monkeypatch.setattr(Exploding, "passes", 0)
    monkeypatch.setattr(Exploding, "limit", 3 * limit)
    config = resolve("depth=8", "iterations=25", "device=cpu")
    config.shortcut = {"name": "exploding", "_target_": f"{__name__}.Exploding"}
    assert train(config).ending.diverged_at == diverged


def test_run_whose_last_update_diverges_is_not_finished(resolve, train):
    """No training loss is computed with the last step's weights; the evaluation shows it."""
    config = resolve("depth=8", "iterations=1", "device=cpu", "recipe.learning_rate=1e38", "recipe.warmup=0")
    found = train(config)
    assert math.isfinite(found.losses[0])
    assert found.ending.diverged_at == 0


def test_clock_counts_all_sessions_and_speed_only_training_steps(resolve, train, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def slow_down(training):
        step, evaluate = training.take, training.evaluate

        def slow_step():
            now[0] += 0.5
            step()

        def slow_evaluation(pause):
            now[0] += 1000.0
            return evaluate(pause)

        training.take, training.evaluate = slow_step, slow_evaluation

    config = resolve("depth=8", "iterations=6", "recipe.batch=400", "device=cpu")
    stopped = train(config, stop=4, prepare=slow_down)  # in the second of two epochs
    assert [one.seconds for one in stopped.evaluations] == [3 * 0.5 + 1000]
    assert (stopped.state["seconds"], stopped.state["training_seconds"]) == (4 * 0.5 + 1000, 4 * 0.5)
    now[0] += 1e6
    resumed = train(config, resume=stopped.state, prepare=slow_down)
    assert [one.seconds for one in resumed.evaluations] == [stopped.state["seconds"] + 2 * 0.5 + 1000]
    speeds = [one.images_per_second for one in stopped.evaluations + resumed.evaluations]
    assert speeds == [800, 800]


PROBED = ("depth=8", "shortcut=gate", "epochs=3", "device=cpu")


def numbers(recorder):
    """All that a run's evaluations say, without the clock."""
    return [replace(one, seconds=0, images_per_second=0) for one in recorder.evaluations]


@pytest.fixture(scope="module")
def probed(resolve, train):
    return train(resolve(*PROBED, "probes=signal"))


def test_probes_change_no_weight_and_no_other_number(probed, resolve, train):
    plain = train(resolve(*PROBED))
    assert all(plain.weights[name].equal(value) for name, value in probed.weights.items())
    assert [len(one.probes) for one in probed.evaluations] == [6, 6, 6]
    assert [replace(one, probes=None) for one in numbers(probed)] == numbers(plain)


def test_probed_gradients_are_those_of_the_last_step_of_each_epoch(probed, resolve, train):
    norms = []

    class Gradients(type(probed)):
        def step(self, step):
            super().step(step)
            stages = self.training.network.stages
            norms.append([sum(p.grad.double().square().sum() for p in stage.parameters()) ** 0.5 for stage in stages])

    config = resolve("depth=8", "probes=signal", "iterations=5", "recipe.batch=400", "device=cpu")  # the second has two
    found = train(config, recorder=Gradients).evaluations
    assert [one.step for one in found] == [3, 5]
    for one in found:
        measured = [one.probes[f"gradient/stage{stage}"] for stage in (1, 2, 3)]
        assert measured == pytest.approx([norm.item() for norm in norms[one.step - 1]], rel=1e-5)


# In the middle of an epoch, and at the end of one: after its gradients were measured, before its evaluation.
@pytest.mark.parametrize(("stop", "evaluated"), [(30, 1), (20, 0)])
def test_probed_run_that_is_stopped_and_resumed_measures_the_same(stop, evaluated, probed, resolve, train):
    stopped = train(resolve(*PROBED, "probes=signal"), stop=stop)
    assert numbers(stopped) == numbers(probed)[:evaluated]
    resumed = train(resolve(*PROBED, "probes=signal"), resume=stopped.state)
    assert numbers(resumed) == numbers(probed)[evaluated:]
    assert all(resumed.weights[name].equal(value) for name, value in probed.weights.items())


def test_run_stopped_within_an_evaluation_repeats_its_random_numbers(resolve, train, monkeypatch):
    def noisy(self, x, residual):  # draws in evaluation too
        return self.match(x) + residual + 0.1 * torch.randn_like(residual)

    monkeypatch.setattr(Identity, "forward", noisy)
    config = resolve("depth=8", "epochs=2", "recipe.batch=400", "device=cpu")
    whole = train(config)

    def stop_within(training):
        evaluate = training.evaluate
        training.evaluate = lambda pause: (setattr(training.step, "within", True), evaluate(pause))[1]

    class StoppedWithin(type(whole)):
        def wants_checkpoint(self):
            return getattr(self.training.step, "within", False)

    stopped = train(config, prepare=stop_within, recorder=StoppedWithin)
    assert stopped.state["step"] == 3  # the first epoch's end, amid its evaluation
    resumed = train(config, resume=stopped.state)
    assert all(torch.equal(a, b) for a, b in zip(whole.weights.values(), resumed.weights.values(), strict=True))
    assert [e.test_error for e in resumed.evaluations] == [e.test_error for e in whole.evaluations]


def test_first_timed_step_is_that_of_a_run(resolve, train, start):
    config = resolve("depth=8", "iterations=1", "device=cpu")
    timed = start(config)
    next(timed.steps())
    assert all(value.equal(timed.network.state_dict()[name]) for name, value in train(config).weights.items())
