"""What shortcuts may ask for: the unit's position, and a state that goes from unit to unit."""

import pytest
import torch
from torch import nn

from ablate.base.errors import ConfigError
from ablate.models.build import build, check_buildable, rate_factors
from ablate.models.connection import Connection, Position, states_used
from ablate.models.network import Network
from ablate.models.shortcuts import match_shape
from ablate.models.units import Basic, add, conv3x3

HERE = __name__


class Placed(nn.Module):
    """y = x + F(x), and the position that it was given."""

    def __init__(self, in_channels, out_channels, stride, position):
        super().__init__()
        self.match, self.place = match_shape(in_channels, out_channels, stride, "A"), position

    def forward(self, x, residual):
        return self.match(x) + residual


class Typed(Placed):
    """As Placed, by the parameter's type."""

    def __init__(self, in_channels, out_channels, stride, *, where: Position):
        super().__init__(in_channels, out_channels, stride, where)


class PlacedUnit(Basic):
    def __init__(self, in_channels, out_channels, stride, shortcut, *, position):
        super().__init__(in_channels, out_channels, stride, shortcut)
        self.place = position


class Two(Connection):
    """Two streams; F reads their sum and is added to the second: at the end they add up to what the identity gives."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, "A")

    def open(self, x):
        return torch.stack([x / 2, x / 2], 1)

    def read(self, state):
        return state.sum(1)

    def forward(self, state, residual):
        first, second = (self.match(stream) for stream in state.unbind(1))
        return torch.stack([first, second + residual], 1)

    def close(self, state):
        return state.sum(1)


class Wide(Connection):
    """y = x, with F(x) as further channels, which are as many as the unit adds."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.residual_channels = out_channels - in_channels
        self.pool = nn.AvgPool2d(stride)

    def forward(self, state, residual):
        return torch.cat([self.pool(state), residual], 1)


class Strict(Network):
    """Gives its units no position."""

    def __init__(self, in_channels, classes, *, unit, depth):
        super().__init__()
        self.unit = unit(in_channels, 4, 1)

    def forward(self, x):
        return self.unit(x).mean((2, 3))

    def units(self):
        return iter([(1, self.unit)])


class Forgetful(nn.Module):
    """Gives F the state, whose channels F takes too."""

    def __init__(self, in_channels, out_channels, stride, shortcut):
        super().__init__()
        self.shortcut = shortcut(in_channels, out_channels, stride)
        self.residual = conv3x3(in_channels, out_channels, stride)

    def forward(self, x):
        return add(self.shortcut, x, self.residual(x))


class Halved(Connection):
    """y = x + F(x / 2)."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, "A")

    def read(self, state):
        return state / 2

    def forward(self, state, residual):
        return self.match(state) + residual


class Unopened(Halved):
    """As Halved, of a state that is 3 x."""

    def open(self, x):
        return 3 * x

    def close(self, state):
        return state / 3


class Direct(Network):
    """Calls its unit on x."""

    def __init__(self, in_channels, classes, *, unit, depth):
        super().__init__()
        self.unit, self.head = unit(in_channels, 4, 1), nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.unit(x).mean((2, 3)))

    def units(self):
        return iter([(1, self.unit)])


class Greedy(nn.Module):
    rate_factors = {"scale": 0}  # noqa: RUF012

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x, residual):
        return residual * self.scale


def network(config, shape=(1, 8, 8)):
    return build(config, shape=shape, classes=10)


def custom(resolve, group, name, *words):
    config = resolve(*words)
    getattr(config, group).clear()
    getattr(config, group).update({"name": "own", "_target_": f"{HERE}.{name}"})
    return config


@pytest.mark.parametrize(("group", "name"), [("shortcut", "Placed"), ("shortcut", "Typed"), ("unit", "PlacedUnit")])
def test_position_is_given_to_who_asks(group, name, resolve):
    built = network(custom(resolve, group, name, "depth=14"))
    owners = [getattr(unit, "shortcut", None) if group == "shortcut" else unit for _, unit in built.units()]
    stages = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (3, 2)]
    assert [one.place for one in owners] == [Position(at, 6, *stage) for at, stage in enumerate(stages, 1)]


def test_own_parameter_of_that_name_is_not_replaced(resolve):
    config = custom(resolve, "shortcut", "Placed", "depth=8")
    config.shortcut["position"] = 5
    assert [unit.shortcut.place for _, unit in network(config).units()] == [5, 5, 5]


def test_network_that_gives_no_positions_is_named(resolve):
    config = custom(resolve, "shortcut", "Placed", "depth=8")
    config.net = {"name": "mine", "_target_": f"{HERE}.Strict"}
    with pytest.raises(ConfigError, match="shortcut own asks for its unit's position, which net mine does not give"):
        network(config)


def test_streams_that_add_up_to_the_identity_give_its_logits_and_gradients(resolve):
    words = ("depth=20", "unit.order=full_preactivation", "seed=3")
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    streams = network(custom(resolve, "shortcut", "Two", *words)).double()
    identity = network(resolve("shortcut=identity", *words)).double()
    # Where the shape changes a pre-activated unit gives the identity BN and ReLU of x, and a connection its state.
    for _, unit in identity.units():
        unit.stateful = True
    for built, out in ((streams, found := []), (identity, expected := [])):
        logits = built(images)
        logits.square().sum().backward()
        out += [logits, *(parameter.grad for parameter in built.parameters())]
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-10)


def test_connection_may_widen_and_says_how_many_channels_f_has(resolve):
    unit = Basic(6, 10, 2, Wide, order="full_preactivation")
    state = torch.randn(2, 6, 8, 8)
    assert unit(state).shape == (2, 10, 4, 4)
    assert unit.residual[-1].out_channels == 4


@pytest.mark.parametrize("order", ["original", "bn_after_addition"])
def test_connection_is_refused_where_something_follows_the_addition(order, resolve):
    config = custom(resolve, "shortcut", "Two", "depth=8", f"unit.order={order}")
    with pytest.raises(ConfigError, match="after the addition, where Two has a state: use "):
        network(config)


def test_state_is_float32_while_f_is_bfloat16(resolve, monkeypatch):
    kinds = []
    monkeypatch.setattr(Two, "read", lambda self, state: kinds.append(state.dtype) or state.sum(1))
    built = network(custom(resolve, "shortcut", "Two", "depth=8", "unit.order=full_preactivation"))
    with torch.autocast("cpu", torch.bfloat16):
        logits = built(torch.randn(2, 1, 8, 8))
    assert {*kinds} == {torch.float32} == {logits.dtype}


def test_unit_that_gives_f_the_state_is_refused(resolve):
    config = custom(resolve, "shortcut", "Halved", "depth=8", "unit.order=full_preactivation")
    check_buildable(config, (1, 8, 8))
    config.unit = {"name": "own", "_target_": f"{HERE}.Forgetful"}
    with pytest.raises(ConfigError, match="a unit does not call read of Halved, which has a state"):
        check_buildable(config, (1, 8, 8))


def test_network_that_opens_no_state_is_refused(resolve):
    config = custom(resolve, "shortcut", "Unopened", "depth=8", "unit.order=full_preactivation")
    check_buildable(config, (1, 8, 8))
    config.net = {"name": "mine", "_target_": f"{HERE}.Direct"}
    with pytest.raises(ConfigError, match="the network does not call open of Unopened, which has a state"):
        check_buildable(config, (1, 8, 8))


def test_checked_connection_is_as_before(resolve):
    unit = Basic(4, 4, 1, Halved, order="full_preactivation")
    with states_used([unit]):
        unit(torch.randn(2, 4, 3, 3))
    assert set(vars(unit.shortcut)) == set(vars(Halved(4, 4, 1)))


def test_factor_of_the_learning_rate_must_be_above_0(resolve, monkeypatch):
    with pytest.raises(ConfigError, match="a factor in rate_factors is 0: it must be a number above 0"):
        network(custom(resolve, "shortcut", "Greedy", "depth=8"))
    assert rate_factors(network(resolve("depth=8"))) == {}
    monkeypatch.setattr(Greedy, "rate_factors", ("scale",))
    with pytest.raises(ConfigError, match=r"rate_factors is \('scale',\): it must be a dict"):
        network(custom(resolve, "shortcut", "Greedy", "depth=8"))
