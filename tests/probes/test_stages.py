"""Probes measure what their names say. tests/training/test_loop.py has them in a run."""

import math

import pytest
import torch
from torch.nn import functional

from ablate.models.build import build
from ablate.models.shortcuts import Gate, Identity
from ablate.probes.stages import Probes
from tests.models.networks import resnet


@pytest.fixture
def network(resolve):
    torch.manual_seed(0)
    return lambda *words: build(resolve("depth=8", *words), shape=(1, 8, 8), classes=10)


def measured(network, images):
    with torch.no_grad(), Probes(network.eval()).watch() as found:
        network(images)
    return found


def test_openness_of_a_gate_without_weights_is_that_of_its_bias(network):
    network = network("shortcut=gate", "shortcut.bias_init=-2")
    gates = [module for module in network.modules() if isinstance(module, Gate)]
    for gate in gates:
        torch.nn.init.zeros_(gate.gate.weight)
    torch.nn.init.constant_(gates[-1].gate.bias, 3.0)
    found = measured(network, torch.randn(5, 1, 8, 8))
    assert found["gate_openness/stage1"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert found["gate_openness/stage2"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert found["gate_openness/stage3"] == pytest.approx(1 / (1 + math.exp(3)))


def test_openness_is_the_mean_over_all_images_of_all_batches(network):
    network = network("shortcut=exclusive_gate", "shortcut.bias_init=0")
    images = torch.randn(7, 1, 8, 8)
    seen = []
    gate = next(module for module in network.modules() if isinstance(module, Gate))
    hook = gate.gate.register_forward_hook(lambda _module, _inputs, logits: seen.append(1 - torch.sigmoid(logits)))
    with torch.no_grad(), Probes(network.eval()).watch() as found:
        network(images[:4])
        network(images[4:])
    hook.remove()
    assert found["gate_openness/stage1"] == pytest.approx(torch.cat(seen).mean().item(), rel=1e-5)


def test_network_without_gates_has_no_openness(network):
    assert not [name for name in measured(network("shortcut=identity"), torch.randn(2, 1, 8, 8)) if "gate" in name]


def test_hooks_are_removed_after_an_error(network):
    network = network("shortcut=gate")
    with pytest.raises(RuntimeError), Probes(network).watch():
        raise RuntimeError
    assert not [module for module in network.modules() if module._forward_hooks]


def test_gradients_are_the_norms_over_the_weights_of_each_stage(network):
    network = network("shortcut=gate")
    functional.cross_entropy(network(torch.randn(6, 1, 8, 8)), torch.arange(6)).backward()
    probes = Probes(network)
    probes.gradients()
    with probes.watch() as found:
        pass
    for number, stage in enumerate(network.stages, 1):
        squares = sum((p.grad.double() ** 2).sum().item() for p in stage.parameters())
        assert found[f"gradient/stage{number}"] == pytest.approx(math.sqrt(squares), rel=1e-5)
    assert len({round(found[f"gradient/stage{k}"], 9) for k in (1, 2, 3)}) == 3


class Counting(Identity):
    """Offers two numbers of its own."""

    def scalars(self):
        return {"channels": torch.nn.Parameter(torch.tensor(float(self.channels))), "one": 1}

    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.channels = in_channels


def test_own_numbers_of_a_shortcut_are_means_over_the_units_of_a_stage():
    found = measured(resnet(14, Counting, in_channels=1, classes=10), torch.randn(2, 1, 8, 8))
    assert {name: value for name, value in found.items() if "gradient" not in name} == {
        "channels/stage1": 16, "channels/stage2": 24, "channels/stage3": 48, **{f"one/stage{k}": 1 for k in (1, 2, 3)},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("own", "sentence"),
    [
        ({"all": torch.ones(2)}, r"^Wrong.scalars\(\) gives 'all', not a number$"),
        ({"all": 10**400}, r"^Wrong.scalars\(\) gives 'all', not a number$"),
        ({"gradient": 1.0}, r"^Wrong.scalars\(\): 'gradient' is a probe's name; use another$"),
    ],
)
def test_own_number_that_is_none_or_has_a_probes_name_is_refused(own, sentence):
    class Wrong(Counting):
        def scalars(self):
            return own

    with pytest.raises(ValueError, match=sentence):
        measured(resnet(8, Wrong, in_channels=1, classes=10), torch.randn(2, 1, 8, 8))
