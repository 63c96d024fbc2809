"""Recomputed units train to the same bits as units that keep their activations."""

import random
from dataclasses import replace

import numpy
import pytest
import torch
from torch import nn

from ablate.base.errors import AblateError
from ablate.models.generators import generators
from ablate.models.shortcuts import Identity
from ablate.models.units import ORDERS
from ablate.training import recompute

RUN = ("depth=8", "device=cpu", "iterations=4")


@pytest.fixture
def run(resolve, train):
    """`run(value, *words)` trains with activation_checkpointing=value; `shortcut` is a class of this file."""

    def trained(value, *words, shortcut=None, **how):
        config = resolve(*RUN, *words, f"activation_checkpointing={value}")
        if shortcut:
            config.shortcut = {"name": "custom", "_target_": f"{__name__}.{shortcut.__name__}"}
        return train(config, **how)

    return trained


def bits(recorder):
    """All that a run leaves. Must be called before the next run, which seeds the generators."""
    drawn = generators(torch.device("cpu"))
    return {
        **{name: value.tolist() for name, value in recorder.weights.items()},
        "momenta": [momentum.tolist() for momentum in recorder.training.step.optimizer.momenta],
        "losses": recorder.losses,
        "evaluations": [replace(one, seconds=0, images_per_second=0) for one in recorder.evaluations],
        "generators": drawn | {"torch": drawn["torch"].tolist()},
    }


@pytest.mark.parametrize(
    "words",
    [
        *[("shortcut=dropout", f"unit.order={order}") for order in ORDERS],
        ("shortcut=gate", "shortcut.weight_init=he", "shortcut.option=B", "probes=signal"),
        ("shortcut=conv1x1", "shortcut.norm=true", "unit=bottleneck", "depth=11"),
    ],
    ids=" ".join,
)
def test_weights_statistics_losses_and_probes_are_the_same_bits(words, run):
    recomputed = bits(run("true", *words))
    assert recomputed == bits(run("false", *words))
    assert {value for name, value in recomputed.items() if name.endswith("num_batches_tracked")} == {4}


def test_bfloat16_is_recomputed_in_bfloat16(run):
    recomputed, kept = (bits(run(value, "shortcut=dropout", precision=torch.bfloat16)) for value in ("true", "false"))
    assert recomputed == kept
    assert recomputed["losses"] != run("true", "shortcut=dropout").losses


@pytest.mark.parametrize("first", ["true", "false"])
def test_run_may_be_resumed_with_the_other_value(first, run):
    words = "shortcut=dropout", "probes=signal"
    whole = run(first, *words)
    stopped = run(first, *words, stop=2)
    resumed = run("false" if first == "true" else "true", *words, resume=stopped.state)
    assert all(value.equal(resumed.weights[name]) for name, value in whole.weights.items())
    assert resumed.evaluations[-1].probes == whole.evaluations[-1].probes


class Changing(Identity):
    """A shortcut whose buffers change in place, by assignment and at once under two names, and decide what it returns;
    it draws from every generator."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("same", self.calls)
        self.register_buffer("first", None)

    def forward(self, x, residual):
        if self.training:
            self.calls += 1
            self.average = 0.9 * self.average + 0.1 * residual.detach().mean()
            self.first = self.average if self.first is None else self.first
        noise = random.random() + numpy.random.random() + torch.rand(())
        return super().forward(x, residual * (1 + self.average + 0.1 * noise / (1 + self.same)))


def test_changing_buffers_and_all_generators_are_repeated(run):
    recomputed = run("true", shortcut=Changing)
    found = bits(recomputed)
    assert found == bits(run("false", shortcut=Changing))
    assert {value for name, value in found.items() if name.endswith((".calls", ".same"))} == {4}
    shortcuts = [unit.shortcut for _, unit in recomputed.training.network.units()]
    assert all(one.calls is one.same for one in shortcuts)


class Counting(Identity):
    """Counts the calls in training and in evaluation."""

    calls = None

    def forward(self, x, residual):
        Counting.calls[self.training] += 1
        return super().forward(x, residual)


@pytest.mark.parametrize(("value", "passes"), [("true", 2), ("false", 1)])
def test_units_are_recomputed_once_in_training_and_not_in_evaluation(value, passes, run, monkeypatch):
    monkeypatch.setattr(Counting, "calls", {True: 0, False: 0})
    run(value, shortcut=Counting)
    batches = 2  # of 360 images by 250
    assert Counting.calls == {True: 4 * 3 * passes, False: batches * 3}


@pytest.mark.parametrize(("value", "kept"), [("true", 1), ("false", 2 * (2 + 6 + 1))])
def test_unit_keeps_its_input_alone(value, kept, resolve, start):
    """Otherwise, twice: a convolution's input and weight, BN's input and five vectors, ReLU's output."""
    counts = []
    for depth in (14, 20):
        step, saved = start(resolve("device=cpu", f"depth={depth}", f"activation_checkpointing={value}")).step, []
        step.begin_epoch(0)
        with torch.autograd.graph.saved_tensors_hooks(lambda x, into=saved: into.append(x) or x, lambda x: x):
            step.network(step.batches.next()[0])
        counts.append(len(saved))
    assert counts[1] - counts[0] == 3 * kept  # one more unit in each stage


class Normalising(Identity):
    """Changes its parameter in the forward pass."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x, residual):
        with torch.no_grad():
            self.scale /= self.scale.norm()
        return super().forward(x, self.scale.sum() * residual)


def test_parameter_changed_in_the_forward_pass_is_refused(run):
    run("false", shortcut=Normalising)
    with pytest.raises(AblateError, match=r"^Basic changes a parameter in its forward pass, .* or make it a buffer$"):
        run("true", shortcut=Normalising)


class Overwriting(Identity):
    """Changes the unit's input in place."""

    def forward(self, x, residual):
        return super().forward(x.mul_(0.5), residual)


def test_changed_input_of_a_unit_is_an_error(run):
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        run("true", "unit.order=relu_only_preactivation", shortcut=Overwriting)


def test_network_keeps_its_class_names_and_buffers(resolve, start):
    recomputed, kept = (start(resolve(*RUN, f"activation_checkpointing={value}")) for value in ("true", "false"))
    network = recomputed.network
    assert list(network.state_dict()) == list(kept.network.state_dict())
    assert type(network) is type(kept.network)
    assert str(network) == str(kept.network)
    before = list(network.buffers())
    next(recomputed.steps())
    assert all(one is other for one, other in zip(before, network.buffers(), strict=True))


@torch.no_grad()
def test_nothing_is_prepared_for_a_recomputation_without_gradients(resolve, start, monkeypatch):
    training = start(resolve(*RUN, "activation_checkpointing=true"))
    monkeypatch.setattr(recompute, "checkpoint", pytest.fail)
    training.evaluate(lambda: None)
