"""The fast step computes what the plain one does, and a graph is used only if it does too."""

import contextlib
import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional

from ablate.base.errors import AblateError
from ablate.data.augment import draw
from ablate.data.load import load
from ablate.models import build
from ablate.models.shortcuts import match_shape
from ablate.training import setup as trial
from ablate.training.graph import STEPS, graphed
from ablate.training.loop import per_pixel_mean, train
from ablate.training.schedule import learning_rate


class Plain:
    """The step as it stands on paper: image by image, channels first, parameter by parameter."""

    def __init__(self, config):
        self.config, self.dataset = config, load(config.data)
        self.net = build(config, channels=1, classes=10)
        self.mean = per_pixel_mean(self.dataset.train_x)[0]
        self.momenta = {name: torch.zeros_like(p) for name, p in self.net.named_parameters()}

    def __call__(self, number, rate):
        recipe, shift, count = self.config.recipe, self.config.data.shift, len(self.dataset.train_y)
        epoch, index = divmod(number, count // recipe.batch)
        augmentation = draw(self.config.seed, epoch, count, shift=shift, flip=self.config.data.flip)
        batch, labels = [], []
        for place in range(index * recipe.batch, (index + 1) * recipe.batch):
            image = self.dataset.train_x[augmentation.order[place]].float() / 255 - self.mean
            top, left = augmentation.offsets[place].tolist()
            batch.append(functional.pad(image, (shift,) * 4)[:, top : top + 8, left : left + 8])
            labels.append(self.dataset.train_y[augmentation.order[place]])
        self.net.zero_grad()
        loss = functional.cross_entropy(self.net(torch.stack(batch)), torch.stack(labels))
        loss.backward()
        with torch.no_grad():
            for name, p in self.net.named_parameters():
                self.momenta[name] = recipe.momentum * self.momenta[name] + p.grad + recipe.weight_decay * p
                p -= rate * self.momenta[name]
        return loss.item()

    def follow(self, step):
        """Stand where `step` stands."""
        self.net.load_state_dict(step.net.state_dict())
        names = {p: name for name, p in step.net.named_parameters()}
        self.momenta |= {names[p]: momentum.clone() for p, momentum in step.momenta()}


def fifty(config, plain, *, together):
    """The losses of fifty steps, fast and plain; `together`, each plain one starts from where the fast one does."""
    step, take = trial.prepare(config, pytest.fail)
    steps, fast, slow = trial.steps(config, step, take), [], []
    for number in range(50):
        rate = learning_rate(number, 400, config.recipe)
        if together:
            plain.follow(step)
        slow.append(plain(number, rate))
        step.rate.fill_(rate)
        next(steps)
        fast.append(step.losses[number % step.per_epoch].item())
        if together:
            for one, other in zip(step.net.parameters(), plain.net.parameters(), strict=True):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    return fast, slow


SHORTCUTS = ["identity", "gate", "exclusive_gate_b3", "conv1x1"]


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_each_of_fifty_steps_gives_the_loss_and_the_weights_of_a_plain_one(resolve, shortcut):
    # So large a weight decay that a tenth of it would show.
    config = resolve("depth=8", f"shortcut={shortcut}", "device=cpu", "recipe.weight_decay=0.1")
    fast, slow = fifty(config, Plain(config), together=True)
    assert fast == pytest.approx(slow, rel=1e-5)


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_fifty_steps_on_their_own_give_the_losses_of_plain_ones(resolve, shortcut):
    # At the recipe's rate any two orders of summing part by a percent within fifty steps: ReLUs change sides.
    config = resolve("depth=8", f"shortcut={shortcut}", "device=cpu", "recipe.learning_rate=1e-4")
    fast, slow = fifty(config, Plain(config), together=False)
    assert fast == pytest.approx(slow, rel=1e-5)


@pytest.mark.filterwarnings("ignore")  # of what torch's own tracing does
def test_compiled_units_give_the_losses_of_plain_ones(resolve, monkeypatch):
    compiled = nn.Module.compile
    # Without generating code, which takes a minute; what is traced is what counts here.
    monkeypatch.setattr(nn.Module, "compile", lambda self, **how: compiled(self, backend="aot_eager", **how))
    losses = []
    for compiling in (False, True):
        config = resolve("depth=14", "shortcut=gate", "device=cpu", f"compile={compiling}")
        step, take = trial.prepare(config, pytest.fail)
        steps = trial.steps(config, step, take)
        for _ in range(5):
            next(steps)
        losses.append(step.losses[:5].tolist())
    torch._dynamo.reset()
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


class Silent:
    def __init__(self, stop=None):
        self.stop, self.now, self.state, self.evaluations = stop, 0, None, []

    def step(self, step):
        self.now = step

    def evaluation(self, evaluation):
        self.evaluations.append(evaluation)

    def wants_checkpoint(self):
        return self.now == self.stop

    def checkpoint(self, state):
        self.state = copy.deepcopy(state)
        raise InterruptedError


def trained(config, accelerate=None, stop=None, resume=None, precision=torch.float32):
    dataset = load(config.data)
    net = build(config, channels=1, classes=10)
    observer = Silent(stop)
    with contextlib.suppress(InterruptedError):
        train(
            net, dataset, config.recipe, seed=0, shift=1, flip=False, precision=precision, observer=observer,
            accelerate=accelerate, resume=resume,
        )  # fmt: skip
    return net.state_dict(), observer


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def config(resolve):
    return resolve("depth=8", "shortcut=dropout", "epochs=2", "device=cpu")


def test_a_graph_that_computes_the_same_is_used_and_leaves_no_trace(config):
    replayed, said = [], []

    def capture(step):
        return lambda: (replayed.append(1), step())

    with_graph, _ = trained(config, lambda step: graphed(step, said.append, capture))
    without, _ = trained(config)
    assert same(with_graph, without)  # dropout's draws too
    assert len(replayed) == STEPS + 1 + 40
    assert said == []


def test_a_graph_that_computes_something_else_is_not_used(config):
    said = []

    def capture(step):
        def twice():
            step()
            step.index -= 1
            step()

        return twice

    with_graph, _ = trained(config, lambda step: graphed(step, said.append, capture))
    assert same(with_graph, trained(config)[0])
    assert len(said) == 1
    assert "does not do what plain steps do" in said[0]


def test_a_graph_that_keeps_the_rate_it_was_made_with_is_not_used(config):
    said = []

    def capture(step):
        frozen = step.rate.clone()

        def again():
            asked = step.rate.clone()
            step.rate.copy_(frozen)
            step()
            step.rate.copy_(asked)

        return again

    with_graph, _ = trained(config, lambda step: graphed(step, said.append, capture))
    assert same(with_graph, trained(config)[0])
    assert len(said) == 1


def test_the_steps_that_are_compared_are_taken_at_the_rate_of_their_place(config):
    rates = []

    def capture(step):
        rates.append(step.rate.item())
        return step

    trained(config, lambda step: graphed(step, pytest.fail, capture))
    warm_up = learning_rate(0, 40, config.recipe)
    assert rates == pytest.approx([warm_up])
    assert warm_up < config.recipe.learning_rate


def test_a_step_that_cannot_be_captured_ends_the_run_in_a_sentence(config):
    def capture(step):
        try:
            raise ValueError("a sync in somebody's code")
        finally:
            raise RuntimeError("capture was invalidated")

    with pytest.raises(AblateError, match=r"ValueError: a sync in somebody's code; add graph=false"):
        trained(config, lambda step: graphed(step, pytest.fail, capture))


def test_where_an_epoch_is_too_short_to_compare_there_is_no_graph(config):
    config.recipe.batch = 600
    net, _ = trained(config, lambda step: pytest.fail("there are two steps an epoch"))
    assert same(net, trained(config)[0])


@pytest.mark.parametrize("stop", [7, 19, 20, 33])
def test_a_run_with_a_graph_is_resumed_to_the_same_bits(config, stop):
    def accelerate(step):
        return graphed(step, pytest.fail, lambda step: lambda: step())

    whole, observer = trained(config, accelerate)
    _, stopped = trained(config, accelerate, stop=stop)
    resumed, rest = trained(config, accelerate, resume=stopped.state)
    assert same(resumed, whole)
    assert rest.evaluations[-1].test_error == observer.evaluations[-1].test_error


@pytest.mark.parametrize("stop", [7, 20])
def test_in_bfloat16_a_run_comes_out_the_same_resumed_or_not(config, stop):
    whole, _ = trained(config, precision=torch.bfloat16)
    again, stopped = trained(config, precision=torch.bfloat16, stop=stop)
    assert not same(again, whole)
    resumed, _ = trained(config, precision=torch.bfloat16, resume=stopped.state)
    assert same(resumed, whole)


def test_the_precision_changes_no_number_that_a_seed_draws(config):
    states = []
    for precision in (torch.float32, torch.bfloat16):
        net, _ = trained(config, precision=precision)  # dropout draws at every unit and step
        states.append((torch.get_rng_state(), net))
    assert torch.equal(states[0][0], states[1][0])
    assert not same(states[0][1], states[1][1])


def test_losses_that_are_not_numbers_are_alike(config):
    from ablate.training.graph import _alike

    assert _alike(math.nan, math.nan)
    assert not _alike(math.nan, 1.0)
    assert not _alike(1.0, 1.01)
    assert _alike(1.0, 1.0001)


class Turning(nn.Module):
    """A shortcut with a complex parameter, which no fused optimizer takes."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, "A")
        self.turn = nn.Parameter(torch.tensor(1.0 + 0.5j))

    def forward(self, x, residual):
        return (self.match(x) * self.turn).real + residual


def test_a_complex_parameter_of_somebodys_own_is_trained(config):
    config.shortcut = {"name": "turning", "_target_": f"{__name__}.Turning"}
    net, _ = trained(config)
    assert any(value.is_complex() and not torch.equal(value, torch.tensor(1.0 + 0.5j)) for value in net.values())


def test_what_makes_a_step_faster_is_not_counted_as_training(config, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ablate.training.loop.time.perf_counter", lambda: now[0])

    def accelerate(step):
        now[0] += 1000.0  # as a graph takes a while to be made

        def take():
            now[0] += 0.5
            step()

        return take

    step, _ = trial.prepare(config, pytest.fail)
    ending = train(
        step.net,
        step.dataset,
        replace(config.recipe, iterations=4, epochs=None),
        seed=0,
        shift=0,
        flip=False,
        precision=step.precision,
        observer=trial.Nobody(),
        accelerate=accelerate,
    )
    assert ending.images_per_second == step.batch / 0.5
