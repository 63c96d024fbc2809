"""Connections with a state, as whole networks, against their equations and a public implementation."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from ablate.base.errors import ConfigError
from ablate.contrib import streams
from ablate.contrib.mhc import ManifoldHyperConnections, sinkhorn
from ablate.contrib.streams import HyperConnections
from ablate.models.build import build, no_decay
from ablate.models.connection import Position
from ablate.probes.theory import factor
from tests.contrib.public_hyper_connections import SCALES
from tests.contrib.reference import STREAMS, Reference

WORDS = ("depth=14", "unit.order=full_preactivation")
NAMES = (*STREAMS, "attention_residuals", "denseformer")
CASES = [
    *((f"shortcut={name}", f"shortcut.option={option}") for name in NAMES for option in ("A", "B", "C")),
    *((f"shortcut={name}", "shortcut.dynamic=false") for name in NAMES[:2]),
    *((f"shortcut={name}", "shortcut.streams=3") for name in STREAMS),
    ("shortcut=hyper_connections", "shortcut.streams=1"),
]


def network(resolve, *words):
    return build(resolve(*WORDS, *words), shape=(1, 8, 8), classes=3)


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_network_is_that_of_the_equations(words, resolve):
    """Forward and backward in float64, with random values of every parameter."""
    built = network(resolve, *words).double().train()
    torch.manual_seed(0)
    for name, parameter in built.named_parameters():
        parameter.data += (0.5 if ".shortcut." in name else 0.1) * torch.randn_like(parameter)
    settings = dict(word.removeprefix("shortcut.").split("=") for word in words)
    reference = Reference(built, settings["shortcut"], settings.get("option", "A"), int(settings.get("streams", 4)))
    x, labels = torch.randn(3, 1, 8, 8, dtype=torch.float64), torch.arange(3)
    found = []
    for model, parameters in ((built, dict(built.named_parameters())), (reference, reference.p)):
        loss = functional.cross_entropy(model(x), labels)
        found.append((loss, torch.autograd.grad(loss, [*parameters.values()])))
    (ours, slopes), (theirs, wanted) = found
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-10)
    pairs = zip(reference.p, slopes, wanted, strict=True)
    assert not [name for name, one, other in pairs if not torch.allclose(one, other, rtol=1e-6, atol=1e-9)]
    assert all(slope.abs().max() > 0 for name, slope in zip(reference.p, slopes, strict=True) if ".shortcut." in name)


def test_hyper_connections_are_those_of_a_public_implementation(monkeypatch):
    """Of hyper-connections 0.4.11 on PyPI, which wrote public_hyper_connections.json, and adds no epsilon."""
    monkeypatch.setattr(streams, "EPSILON", 0)
    public = json.loads((Path(__file__).parent / "public_hyper_connections.json").read_text())
    x = torch.tensor(public["x"], dtype=torch.float64, requires_grad=True)
    state = None
    for index, (values, wanted) in enumerate(zip(public["layers"], public["states"], strict=True)):
        layer = HyperConnections(3, 3, 1, Position(index + 1, 3, 1, index + 1)).double()
        theirs = {name: torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
        alpha, w = theirs["static_alpha"], theirs["dynamic_alpha_fn.weight"][:, :, 0, 0].T
        ours = {
            **{"a_m": alpha[:, 0], "a_r": alpha[:, 1:], "b": theirs["static_beta"]},
            **{"w_m": w[:, :1], "w_r": w[:, 1:], "w_b": theirs["dynamic_beta_fn.0.weight"][0, :, :, 0]},
            **{"s_alpha": theirs["dynamic_alpha_scale"], "s_beta": theirs["dynamic_beta_scale"]},
        }
        layer.load_state_dict(ours)
        state = layer.open(x) if state is None else state
        state = layer(state, SCALES[index] * layer.read(state))
        assert torch.allclose(state, torch.tensor(wanted, dtype=torch.float64), rtol=1e-7)
    y = layer.close(state)
    (gradient,) = torch.autograd.grad(y.square().sum(), x)
    assert torch.allclose(y, torch.tensor(public["y"], dtype=torch.float64), rtol=1e-7)
    assert torch.allclose(gradient, torch.tensor(public["gradient"], dtype=torch.float64), rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_network_starts_as_the_identity_does(name, resolve):
    """Its sum of streams is n · x, and its mean of earlier outputs x / l, which normalisation takes for x.

    But for the constants that normalisation adds to variances, and for mHC the 3e-4 of A_r.
    """
    built, identity = (network(resolve, f"shortcut={one}", "seed=3").double().train() for one in (name, "identity"))
    # Where the shape changes a pre-activated unit gives the identity BN and ReLU of x, and a connection its state.
    for _, unit in identity.units():
        unit.stateful = True
    for network_ in (built, identity):  # of normalisation, whose constants would hide what is exact
        for module in network_.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 1e-12
    given = []
    for network_ in (built, identity):
        network_.last.register_forward_pre_hook(lambda _last, args: given.append(args[0]))
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    ours, theirs = built(images), identity(images)
    factor = {"attention_residuals": 1 / 7, "denseformer": 1.0}.get(name, 4.0)
    exact = {"rtol": 1e-6, "atol": 1e-6}
    assert torch.allclose(given[0], factor * given[1], **exact)
    assert torch.allclose(ours, theirs, **exact)
    shared = [key for key, _ in identity.named_parameters()]
    slopes = [torch.autograd.grad(out.square().sum(), [one.get_parameter(key) for key in shared])
              for out, one in ((ours, built), (theirs, identity))]  # fmt: skip
    assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-6) for one, other in zip(*slopes, strict=True))


def test_streams_start_by_turns_and_as_the_papers_say():
    for index in range(1, 9):
        layer = HyperConnections(2, 2, 1, Position(index, 9, 1, index))
        assert layer.a_m.tolist() == [float(i == (index - 1) % 4) for i in range(4)]
    state = torch.randn(2, 4, 2, 3, 3)
    layer = ManifoldHyperConnections(2, 2, 1)
    assert torch.allclose(layer.reading(state), torch.tensor(0.25))
    assert torch.equal(layer.giving(state), torch.ones(2, 4, 1, 3, 3))
    assert (layer.mixing(state) - torch.eye(4)[None, :, :, None, None]).abs().max() < 1.1e-3


def test_mixing_of_mhc_is_doubly_stochastic():
    torch.manual_seed(0)
    start, trained = ManifoldHyperConnections(3, 3, 1), ManifoldHyperConnections(3, 3, 1).double()
    for parameter in trained.parameters():
        nn.init.normal_(parameter, std=0.5)
    for layer, images in ((start, torch.randn(5, 4, 3, 6, 6)), (trained, torch.randn(5, 4, 3, 6, 6).double())):
        mixing = layer.mixing(images)
        assert mixing.shape == (5, 4, 4, 6, 6)
        assert (mixing > 0).all()
        for dim in (1, 2):
            assert (mixing.sum(dim) - 1).abs().max() < 1e-6
    assert mixing.std((0, 3, 4)).min() > 0.01


def test_weights_of_a_new_stream_sum_to_1_however_few_steps_are_enough():
    """Twenty steps are too few near a permutation; what is not exact then is the other sum."""
    logits = torch.tensor([[0.0, -8], [-3, -1]]).double()[None, :, :, None, None]
    mixing = sinkhorn(logits)[0, :, :, 0, 0]
    assert mixing.sum(0).tolist() == pytest.approx([1, 1], abs=1e-12)
    assert 1e-6 < (mixing.sum(1) - 1).abs().max() < 0.1


def test_sinkhorn_gives_numbers_for_logits_of_any_size():
    logits = (300 * torch.randn(2, 4, 4, 1, 1)).requires_grad_()
    mixing = sinkhorn(logits)
    assert (mixing.sum(1) - 1).abs().max() < 1e-6
    assert torch.autograd.grad(mixing.square().sum(), logits)[0].isfinite().all()


def test_weight_decay_leaves_the_constants_alone(resolve):
    kept = {
        "hyper_connections": {"a_m", "a_r", "b"},
        "hyper_connections_unmixed": {"a_m", "b"},
        "mhc": {"m", "r", "b"},
    }
    for name in NAMES:
        built = network(resolve, f"shortcut={name}")
        exempt = no_decay(built)
        names = {key.rpartition(".")[2] for key, parameter in built.named_parameters() if parameter in exempt}
        assert names == kept.get(name, set())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("shortcut=mhc", "shortcut.streams=1"), "shortcut.streams=1 is invalid: use 2 or more"),
        (("shortcut=hyper_connections", "shortcut.streams=0"), "shortcut.streams=0 is invalid: use 1 or more"),
    ],
)
def test_too_few_streams_are_refused(words, sentence, resolve):
    with pytest.raises(ConfigError, match=sentence):
        network(resolve, *words)


def test_theory_says_what_is_kept_at_the_start(resolve):
    for name in NAMES:
        built = network(resolve, f"shortcut={name}")
        gains = [factor(unit.shortcut).rms for _, unit in built.units()]
        wanted = [(unit / (unit + 1)) ** 0.5 for unit in range(1, 7)] if name == "attention_residuals" else [1.0] * 6
        assert gains == pytest.approx(wanted)
        for parameter in (p for _, unit in built.units() for p in unit.shortcut.parameters()):
            parameter.data += 0.1
        projected = network(resolve, f"shortcut={name}", "shortcut.option=C")
        # The first unit of these has no parameters.
        first = name in ("attention_residuals", "denseformer")
        assert [factor(unit.shortcut) for _, unit in built.units()][first:] == [None] * (6 - first)
        assert [factor(unit.shortcut) for _, unit in projected.units()] == [None] * 6


@pytest.mark.parametrize("name", ["a_r", "w_r", "w_m", "w_b"])
def test_theory_says_nothing_once_a_coefficient_has_moved(name):
    connection = HyperConnections(8, 8, 1, Position(1, 3, 1, 1))
    assert connection.gain() == 1
    getattr(connection, name).data[0, 0] += 0.5
    with pytest.raises(NotImplementedError):
        connection.gain()
