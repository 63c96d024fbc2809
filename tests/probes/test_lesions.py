"""Lesions against networks that are put together by hand, and the gradient of all paths against the whole one."""

import itertools
import random

import pytest
import scipy.stats
import torch
from torch.nn import functional

from ablate.models.build import build
from ablate.models.shortcuts import PadChannels
from ablate.probes.lesions import Patient, kendall
from ablate.report.lesions import shares


@pytest.fixture
def patient(resolve):
    """`patient(*words)`: a network in float64 with weights and statistics at random, and images and labels for it."""

    def made(*words):
        network = build(resolve(*words), shape=(1, 8, 8), classes=10).double()
        with torch.random.fork_rng():
            torch.manual_seed(1)
            for value in (*network.parameters(), *network.buffers()):
                if value.is_floating_point():
                    value.data += 0.1 * torch.rand_like(value)
            images, labels = torch.randn(6, 1, 8, 8, dtype=torch.float64), torch.arange(6)
        return Patient(network, images), images, labels

    return made


def by_hand(network, units, images):
    """The logits of a network that has these units, functions of x, in place of its own."""
    x = network.stem(images)
    for unit in units:
        x = unit(x)
    return network.head(network.last(x).mean((2, 3)))


@torch.no_grad()
@pytest.mark.parametrize("shortcut", ["identity", "none"])
def test_network_without_units_is_the_network_put_together_without_them(shortcut, patient):
    one, images, _ = patient(f"shortcut={shortcut}", "depth=14")
    units = [unit for _, unit in one.network.units()]
    whole = one.network(images)
    pad = PadChannels(16, 32, 2)  # the third unit changes the shape
    for dropped in ([0], [3, 5], [1, 2]):
        wanted = [pad if index == 2 else torch.nn.Identity() for index in dropped]
        replaced = dict(zip(dropped, wanted, strict=True))
        kept = [replaced.get(index, unit) for index, unit in enumerate(units)]
        with one.without(dropped):
            assert torch.allclose(one.network(images), by_hand(one.network, kept, images), rtol=1e-12)
        assert not torch.allclose(by_hand(one.network, kept, images), whole, rtol=1e-3)
    assert torch.equal(one.network(images), whole)


@torch.no_grad()
def test_dropped_unit_of_a_gate_keeps_its_gated_shortcut(patient):
    one, images, _ = patient("shortcut=gate", "shortcut.weight_init=he", "depth=8")
    units = [unit for _, unit in one.network.units()]
    first = units[0].shortcut
    gated = [lambda x: torch.relu((1 - torch.sigmoid(first.gate(x))) * x), *units[1:]]
    with one.without([0]):
        assert torch.allclose(one.network(images), by_hand(one.network, gated, images), rtol=1e-12)


@torch.no_grad()
def test_units_in_another_order_are_those_units_in_another_order(patient):
    one, images, _ = patient("shortcut=identity", "depth=20")
    units, whole = [unit for _, unit in one.network.units()], one.network(images)
    order = [1, 2, 0, 3, 4, 5, 6, 8, 7]
    with one.ordered(order):
        found = one.network(images)
    assert torch.allclose(found, by_hand(one.network, [units[index] for index in order], images), rtol=1e-12)
    assert not torch.allclose(found, whole, rtol=1e-3)
    assert torch.equal(one.network(images), whole)


def test_swaps_are_within_units_of_one_shape(patient):
    one, _, _ = patient("shortcut=identity", "depth=20")
    seen = []

    def error():
        seen.append([one.units.index(unit) for _, unit in one.network.units()])
        return float(len(seen))

    found = list(one.swapped(error, 5, 20, random.Random(0)))
    assert [swap.error for swap in found] == list(map(float, range(1, 21)))
    for order, swap in zip(seen, found, strict=True):
        assert sorted(order[:3]) == [0, 1, 2]
        assert (order[3], order[6]) == (3, 6)  # they change the shape
        assert sorted(order[4:6] + order[7:]) == [4, 5, 7, 8]
        assert sorted(order[4:6]) == [4, 5]
        assert swap.tau == pytest.approx(scipy.stats.kendalltau(range(9), order).statistic)
    assert len({tuple(order) for order in seen}) > 3
    assert kendall([0]) == 1


@pytest.mark.parametrize("words", [("shortcut=identity",), ("shortcut=exclusive_gate", "shortcut.weight_init=he")])
def test_gradients_of_all_paths_add_up_to_the_whole(words, patient):
    one, images, labels = patient(*words, "depth=8")
    start = []
    handle = one.units[0].register_forward_pre_hook(lambda _, args: start.append(args[0].requires_grad_()))
    loss = functional.cross_entropy(one.network(images), labels)
    handle.remove()
    (whole,) = torch.autograd.grad(loss, start)
    paths = [
        one.path_gradient((images, labels), through)
        for length in range(4)
        for through in itertools.combinations(range(3), length)
    ]
    assert torch.allclose(sum(paths), whole, rtol=1e-9, atol=1e-15)
    assert all(path.abs().max() > 0 for path in paths)


def test_plain_network_has_one_path(patient):
    one, images, labels = patient("shortcut=none", "depth=8")
    norms = [one.path_norm((images, labels), length, random.Random(0)) for length in range(4)]
    assert norms[:3] == [0, 0, 0]
    assert norms[3] > 0
    assert shares(norms) == [0, 0, 0, 1]


def test_share_of_a_length_counts_its_paths():
    assert shares([1.0, 0.5, 0.25]) == pytest.approx([1 / 2.25, 1 / 2.25, 0.25 / 2.25])
    assert shares([0.0, 0.0]) == [0, 0]
    wide = shares([2.0**-length for length in range(1001)])  # 1,000 units: (1 + 1/2)^1000, a binomial of mean 1000/3
    assert sum(length * share for length, share in enumerate(wide)) == pytest.approx(1000 / 3)
