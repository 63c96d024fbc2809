"""The training step in other precisions, compiled, and with parameters that the fused kernel does not take."""

import pytest
import torch
from torch import nn

from ablate.models.shortcuts import match_shape
from ablate.training.step import loss_of


def same(one, other):
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture
def config(resolve):
    return resolve("depth=8", "shortcut=dropout", "epochs=2", "device=cpu")


@pytest.mark.filterwarnings("ignore")  # of torch's own tracing
def test_compiled_units_give_the_losses_of_eager_ones(resolve, train, monkeypatch):
    compiled, units = nn.Module.compile, []

    def trace(self, **how):  # without generating code, which takes a minute; the traced graph is what is tested
        units.append(self)
        compiled(self, **how | {"backend": "aot_eager"})

    monkeypatch.setattr(nn.Module, "compile", trace)
    eager, traced = (
        train(resolve("depth=8", "shortcut=gate", "device=cpu", "iterations=5", f"compile={compile}")).losses
        for compile in (False, True)
    )
    torch._dynamo.reset()
    assert len(units) == 3
    assert traced == pytest.approx(eager, rel=1e-5)


@pytest.mark.parametrize("stop", [7, 20])
def test_bfloat16_run_ends_in_the_same_bits_resumed_or_not(config, train, stop):
    whole = train(config, precision=torch.bfloat16)
    stopped = train(config, precision=torch.bfloat16, stop=stop)
    assert not same(stopped.weights, whole.weights)
    resumed = train(config, precision=torch.bfloat16, resume=stopped.state)
    assert same(resumed.weights, whole.weights)


def test_random_numbers_do_not_depend_on_the_precision(config, train):
    found = []
    for precision in (torch.float32, torch.bfloat16):
        weights = train(config, precision=precision).weights  # dropout draws in every unit and step
        found.append((torch.get_rng_state(), weights))
    assert torch.equal(found[0][0], found[1][0])
    assert not same(found[0][1], found[1][1])


def test_loss_of_logits_in_bfloat16_is_computed_in_float32():
    torch.manual_seed(0)
    logits, y = torch.randn(64, 10).bfloat16(), torch.randint(10, (64,))
    loss = loss_of(logits, y)
    exact = logits.double()
    exact = (exact.logsumexp(1) - exact[torch.arange(64), y]).mean()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)  # bfloat16 rounds at 4e-3


class Turning(nn.Module):
    """A shortcut with a complex parameter, and one that has no gradient."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, "A")
        self.turn = nn.Parameter(torch.tensor(1.0 + 0.5j))
        self.unused = nn.Parameter(torch.ones(1))

    def forward(self, x, residual):
        return (self.match(x) * self.turn).real + residual


def test_complex_parameters_are_trained_and_unused_ones_left_alone(config, train):
    config.shortcut = {"name": "turning", "_target_": f"{__name__}.Turning"}
    weights = train(config).weights
    assert all(value.item() != 1.0 + 0.5j for name, value in weights.items() if name.endswith("turn"))
    assert all(value.item() == 1 for name, value in weights.items() if name.endswith("unused"))
