"""What probes and lesions measure of connections with a state, against whole Jacobians and by hand."""

import math
import random

import pytest
import torch
from torch.nn import functional

from ablate.base.errors import AblateError
from ablate.models.build import build
from ablate.probes import along, training
from ablate.probes.foretell import foretell
from ablate.probes.lesions import Patient
from ablate.probes.path import identity
from ablate.probes.signal import facts, measure
from ablate.probes.visits import passages, visits
from tests.contrib.words import STATEFUL
from tests.probes.small import digits, images

ORDER = "unit.order=full_preactivation"


def network(resolve, *words, std=0.0):
    """A network in float64, whose connections have random parameters."""
    built = build(resolve(ORDER, *words), shape=(1, 8, 8), classes=10).double().train()
    torch.manual_seed(0)
    for parameter in (p for _, unit in built.units() for p in unit.shortcut.parameters()):
        parameter.data += std * torch.randn_like(parameter)
    return built


def signal(built, count=4):
    return measure(built, images(8, 1, count), torch.arange(count))


@pytest.mark.parametrize("name", ["hyper_connections", "hyper_connections_unmixed", "mhc", "denseformer"])
def test_gain_is_1_at_the_start(name, resolve):
    found = digits(resolve(f"shortcut={name}", ORDER, "depth=20"))
    for unit in found.units:
        for gain in (unit.path.backward, unit.path.with_f):
            assert gain.log2 == pytest.approx(0, abs=1e-6)
            assert math.isnan(gain.mean)
        assert unit.path.own.log2 == pytest.approx(0, abs=0.01)  # of other random signs in each stream
        assert unit.path.backward.reached == pytest.approx(1, rel=1e-6)
        assert unit.theory.log2 == pytest.approx(0)
        assert unit.path.forward is None
        assert unit.added == pytest.approx(unit.residual * (16 if unit.unit == 9 and "former" not in name else 1))
    assert foretell(found).sentence.endswith(
        "keeps the gradient as it is: nothing in it keeps this network from training"
    )


def test_attention_residuals_share_the_gradient_among_outputs(resolve):
    found = digits(resolve("shortcut=attention_residuals", ORDER, "depth=20"))
    for unit in found.units:
        wanted = math.log2(unit.unit / 10) / 2  # of l equal parts, relative to 10
        assert unit.path.backward.log2 == pytest.approx(wanted, abs=1e-6)
        assert unit.theory.log2 == pytest.approx(wanted)
    assert "is not known" in foretell(found).sentence


@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_gain_is_that_of_the_gradient_with_f_constant(name, resolve, monkeypatch):
    """The states' gradients of a network whose F has none, relative to that of the last; random parameters."""
    monkeypatch.setattr(along, "signs_like", lambda like, _: torch.ones_like(like))
    built = network(resolve, f"shortcut={name}", "depth=14", std=0.3)
    units = signal(built).units
    states, ends = [], []
    for _, unit in built.units():
        unit.register_forward_pre_hook(lambda _unit, given: states.append(given[0]))
        unit.shortcut.register_forward_pre_hook(lambda _h, given: (given[0], given[1].detach()))
        unit.register_forward_hook(lambda _unit, _given, state: ends.append(state))
    closed = []
    built.last.register_forward_pre_hook(lambda _last, given: closed.append(given[0]))
    built(images(8, 1, 4))
    gradients = torch.autograd.grad(closed[0].sum(), [*states, ends[-1]])
    for unit, gradient, channels in zip(units, gradients, (16, 16, 16, 32, 32, 64), strict=False):
        of_identity = math.sqrt(channels / 64)  # option A passes on what is at the channels of x
        wanted = gradient.norm() / gradients[-1].norm() / of_identity
        assert 2**unit.path.backward.log2 == pytest.approx(wanted.item(), rel=1e-6)
        assert unit.path.with_f.log2 == pytest.approx(unit.path.backward.log2, abs=1e-9)
        assert unit.theory is None


def test_mean_squares_are_of_what_units_read(resolve):
    built = network(resolve, "shortcut=hyper_connections", "depth=14", std=0.3)
    units, read = signal(built).units, []
    for _, unit in built.units():
        unit.before.register_forward_pre_hook(lambda _before, given: read.append(given[0]))
    built(images(8, 1, 4))
    assert [unit.x for unit in units] == pytest.approx([x.square().mean().item() for x in read])


@pytest.mark.parametrize("name", ["hyper_connections", "mhc"])
def test_mixing_is_the_product_of_all_matrices(name, resolve):
    """Position by position; the last has 2×2 positions, the first stage 8×8."""
    built = network(resolve, f"shortcut={name}", "depth=14", std=0.3)
    found, states = facts(signal(built))["mixing"], []
    for _, unit in built.units():
        unit.shortcut.register_forward_pre_hook(lambda h, given: states.append((h, given[0])))
    with torch.no_grad():
        built(images(8, 1, 4))
        rows, columns = [], []
        for image in range(4):
            for row in range(2):
                for column in range(2):
                    product = torch.eye(4, dtype=torch.float64)
                    for h, state in states:
                        mixing = h.mixture(state)
                        step = mixing.shape[-1] // 2
                        product = mixing[image, :, :, row * step, column * step].T @ product
                    rows.append(product.abs().sum(1).max().item())
                    columns.append(product.abs().sum(0).max().item())
    assert found["forward"] == pytest.approx(sum(rows) / 16, rel=1e-6)
    assert found["backward"] == pytest.approx(sum(columns) / 16, rel=1e-6)
    assert found["forward"] != pytest.approx(found["backward"], rel=1e-3) or name == "mhc"
    assert facts(signal(network(resolve, "shortcut=denseformer", "depth=8")))["mixing"] is None
    unmixed = facts(signal(network(resolve, "shortcut=hyper_connections_unmixed", "depth=8", std=0.3)))["mixing"]
    assert unmixed == {"forward": 1, "backward": 1}


@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_signal_within_training_has_the_same_gains(name, resolve, monkeypatch):
    for module in (along, training):
        monkeypatch.setattr(module, "signs_like", lambda like, _: torch.ones_like(like))
    built = network(resolve, f"shortcut={name}", "depth=14", std=0.3)
    wanted, line = [unit.path.backward.log2 for unit in signal(built).units], {"step": 1}
    before = {key: value.clone() for key, value in built.state_dict().items() if "shortcut" in key}
    with training.SignalProbe(built, 100).watch(line) as fill:
        functional.cross_entropy(built(images(8, 1, 4)), torch.arange(4)).backward()
        fill()
    assert line["path"] == pytest.approx(wanted, rel=1e-4, abs=1e-5)
    assert all(value > 0 for value in line["x"] + line["gradient"])
    assert line["gate"] == [None] * 6
    assert all(torch.equal(built.state_dict()[key], value) for key, value in before.items())


@pytest.fixture
def patient(resolve):
    def made(name):
        built = network(resolve, f"shortcut={name}", "depth=14", std=0.3)
        return Patient(built, images(8, 1, 4)), (images(8, 1, 4), torch.arange(4))

    return made


@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_gradients_of_all_paths_add_up_to_the_whole(name, patient):
    one, batch = patient(name)
    count = len(one.units)
    total = sum(
        one.path_gradient(batch, [unit for unit in range(count) if choice >> unit & 1]) for choice in range(2**count)
    )
    start = []
    hook = one.units[0].register_forward_pre_hook(lambda _unit, given: start.append(given[0]))
    loss = functional.cross_entropy(one.network(batch[0]), batch[1])
    hook.remove()
    (whole,) = torch.autograd.grad(loss, start)
    assert torch.allclose(total, whole, rtol=1e-8, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_dropped_unit_adds_nothing(name, patient):
    one, (x, _) = patient(name)
    assert [place.changes_shape for place in one.places] == [False, False, True, False, True, False]
    whole = one.network(x)
    last = one.units[3].residual[-1].weight
    kept = last.clone()
    last.zero_()
    wanted = one.network(x)
    last.copy_(kept)
    with one.without([3]):
        assert torch.equal(one.network(x), wanted)
    assert torch.equal(one.network(x), whole)
    assert not torch.equal(wanted, whole)


def test_swaps_are_refused_where_states_grow(patient):
    for name in STATEFUL:
        one, _ = patient(name)
        swapped = one.swapped(lambda: 7.0, 1, 2, random.Random(0))
        if name in ("attention_residuals", "denseformer"):
            with pytest.raises(AblateError, match="cannot be swapped: the state of each has another number of tensors"):
                next(swapped)
        else:
            assert [swap.error for swap in swapped] == [7.0, 7.0]


def test_shapes_of_a_path_are_those_of_x(resolve):
    for name in STATEFUL:
        _, passed = visits(network(resolve, f"shortcut={name}", "depth=8"), images(8, 1, 4).requires_grad_())
        found = passages(passed, [visit.shortcut for visit in passed])
        shapes = [tuple(one.before.shape[1:]) for one in found] + [tuple(found[-1].after.shape[1:])]
        assert shapes == [(16, 8, 8), (16, 8, 8), (32, 4, 4), (64, 2, 2)]
        assert [identity(one) is None for one in found] == [True, False, False]


def test_layers_between_units_end_the_path(resolve):
    built = build(resolve("net=densenet", "depth=10", "net.growth=4"), shape=(1, 8, 8), classes=10)  # two units a stage
    images, labels = torch.randn(4, 1, 8, 8), torch.zeros(4, dtype=torch.int64)
    with pytest.raises(AblateError, match="layers stand between units 4 and 5: no path of shortcuts alone leads"):
        measure(built, images, labels)
    line = {"step": 1}
    with training.SignalProbe(built, 100).watch(line) as fill:
        functional.cross_entropy(built(images), labels).backward()
        fill()
    assert line["path"][:4] == [None] * 4
    assert all(math.isfinite(one) for one in line["path"][4:])
