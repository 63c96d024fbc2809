import random
from itertools import product

import numpy
import pytest
import torch
from torch import nn

from ablate.base.errors import ConfigError
from ablate.config.files import options
from ablate.models.build import build, check_buildable
from ablate.models.shortcuts import Identity
from ablate.models.units import Basic, add
from tests.contrib.words import REFUSED, words


def network(config):
    return build(config, shape=(1, 8, 8), classes=10)


PAIRS = {*product(options("shortcut"), options("unit"))}


@pytest.mark.parametrize(("shortcut", "unit"), sorted(REFUSED))
def test_shortcut_and_unit_that_do_not_go_together_are_refused(shortcut, unit, resolve):
    with pytest.raises(ConfigError, match=f"^(unit {unit}|net densenet) "):
        check_buildable(resolve(*words("shortcut", shortcut, unit=unit)), (1, 8, 8))


@pytest.mark.parametrize(("shortcut", "unit"), sorted(PAIRS - REFUSED))
def test_every_shortcut_and_unit_gives_finite_logits_and_gradients(shortcut, unit, resolve):
    built = network(resolve(*words("shortcut", shortcut, unit=unit)))
    logits = built(torch.randn(4, 1, 8, 8))
    assert logits.shape == (4, 10)
    assert logits.isfinite().all()
    logits.sum().backward()
    # Every parameter is used, also in the plain network.
    assert all(p.grad is not None and p.grad.isfinite().all() for p in built.parameters())


@pytest.mark.parametrize("norm", ["true", "false"])
def test_parameter_of_the_command_line_reaches_the_shortcut(norm, resolve):
    built = network(resolve("depth=8", "shortcut=conv1x1", f"shortcut.norm={norm}"))
    assert len(built.stages[0][0].shortcut.projection) == (2 if norm == "true" else 1)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("shortcut=dropout", "shortcut.p=1.0"),
            "dropout .*: shortcut.p=1.0 is invalid: it must be from 0 to below",
        ),
        (("shortcut=dropout", "shortcut.p=-0.1"), "dropout .*: shortcut.p=-0.1 is invalid: it must be from 0 to"),
        (("shortcut.option=D",), "identity .*: shortcut.option=D is invalid: use one of A, B, C, B_bare, C_bare$"),
        (
            ("shortcut=gate", "+shortcut.bias=1"),
            r"gate .*: Gate.__init__\(\) got an unexpected keyword argument 'bias'$",
        ),
    ],
)
def test_parameter_that_a_shortcut_refuses_is_one_sentence(words, sentence, resolve):
    config = resolve(*words)
    with pytest.raises(ConfigError, match=f"^shortcut {sentence.replace('.*', 'cannot be built')}"):
        check_buildable(config, (1, 8, 8))


def test_unit_that_cannot_be_built_is_named(resolve):
    with pytest.raises(ConfigError, match=r"^unit basic cannot be built: .*'width'"):
        check_buildable(resolve("+unit.width=2"), (1, 8, 8))


class Refusing(nn.Module):
    def __init__(self, *_, error):
        raise {"exit": SystemExit(3), "key": KeyError("k"), "lines": ValueError("one\ntwo")}[error]


@pytest.mark.parametrize(("error", "reason"), [("exit", "SystemExit: 3"), ("key", "KeyError: 'k'"), ("lines", "one")])
def test_error_of_a_custom_constructor_is_one_sentence(error, reason, resolve):
    config = resolve()
    config.shortcut = {"name": "refusing", "_target_": f"{__name__}.Refusing", "error": error}
    with pytest.raises(ConfigError, match=f"^shortcut refusing cannot be built: {reason}$"):
        check_buildable(config, (1, 8, 8))


class Shapes(nn.Module):
    """y = F(x) in a wrong shape, where the shape of x changes."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.wrong = stride == 2

    def forward(self, x, residual):
        return x if self.wrong else residual


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (f"{__name__}.Shapes", r"ValueError: it gives \(2, 16, 8, 8\) where F\(x\) is \(2, 32, 4, 4\)"),
        ("torch.nn.Identity", r"TypeError: Identity\.forward\(\) takes 2 positional arguments but 3 were given"),
    ],
)
def test_shortcut_that_fails_on_images_is_refused_in_one_sentence(target, reason, resolve):
    config = resolve()
    config.shortcut = {"name": "wrong", "_target_": target}
    with pytest.raises(
        ConfigError, match=f"^net resnet with shortcut wrong in unit basic fails on images of 8x8: {reason}$"
    ):
        check_buildable(config, (1, 8, 8))


class Fixup(nn.Module):
    """A unit that draws from every generator, keeps its shortcut under another name and zeroes its last convolution."""

    def __init__(self, in_channels, out_channels, stride, shortcut):
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1)
        self.h = shortcut(in_channels, out_channels, stride)
        self.last = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        nn.init.zeros_(self.last.weight)
        self.scale = nn.Parameter(torch.tensor([torch.randn(()), random.random(), numpy.random.rand()]))

    def forward(self, x):
        return self.h(x, self.last(self.first(x)))


class Filled(nn.Module):
    """A shortcut of a convolution and a linear layer that it fills itself, after drawing from every generator."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, stride)
        self.linear = nn.Linear(2, 2)
        drawn = torch.randn(3).sum().item(), random.random(), numpy.random.rand()
        self.drawn = nn.Parameter(torch.tensor(drawn))
        nn.init.constant_(self.conv.weight, 5.0)
        nn.init.constant_(self.linear.weight, 5.0)

    def forward(self, x, residual):
        return self.conv(x) + residual


@pytest.fixture
def custom(resolve):
    """`custom(shortcut, seed)` is a network of Fixup units."""

    def built(shortcut, seed=0):
        config = resolve("depth=8", f"seed={seed}")
        config.unit = {"name": "fixup", "_target_": f"{__name__}.Fixup"}
        config.shortcut = {"name": "h", "_target_": shortcut}
        return network(config)

    return built


def test_constructors_of_custom_code_have_the_last_word(custom):
    for _, unit in custom(f"{__name__}.Filled").units():
        assert not unit.last.weight.any()
        assert (unit.h.conv.weight == 5).all()
        assert (unit.h.linear.weight == 5).all()


class Quiet(Basic):
    """A shipped unit whose last convolution starts at zero."""

    def __init__(self, *shape):
        super().__init__(*shape)
        nn.init.zeros_(self.residual[3].weight)


def test_subclass_of_a_shipped_unit_starts_as_that_except_for_what_it_sets(resolve):
    config = resolve("depth=20")
    config.unit = {"name": "quiet", "_target_": f"{__name__}.Quiet"}
    units, shipped = ([unit for _, unit in network(one).units()] for one in (config, resolve("depth=20")))
    for unit, other in zip(units, shipped, strict=True):
        assert unit.residual[0].weight.equal(other.residual[0].weight)
        assert not unit.residual[3].weight.any()
        assert other.residual[3].weight.any()


class Wide(nn.Module):
    """Three layers, and an output twice as wide as the stage."""

    expansion = 2

    def __init__(self, in_channels, out_channels, stride, shortcut):
        super().__init__()
        sizes = [in_channels, out_channels // 2, out_channels // 2, out_channels]
        self.f = nn.Sequential(*(nn.Conv2d(*sizes[at : at + 2], 1, stride if at == 0 else 1) for at in range(3)))
        self.h = shortcut(in_channels, out_channels, stride)

    def forward(self, x):
        return add(self.h, x, self.f(x))


def test_custom_unit_says_how_many_layers_and_how_wide_it_is(resolve):
    words = (f"unit._target_={__name__}.Wide", "+unit.layers=3")
    built = network(resolve(*words, "depth=20"))
    assert [len(stage) for stage in built.stages] == [2, 2, 2]
    assert built.head.in_features == 128
    assert built(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(ConfigError, match=r"^depth 21 is not 9n\+2 with unit Wide; nearest: 20, 29$"):
        resolve(*words, "depth=21")
    with pytest.raises(ConfigError, match=r"^unit.layers is for custom units; unit basic has 2: leave it out$"):
        resolve("+unit.layers=1", "depth=5")
    with pytest.raises(ConfigError, match=r"^unit.layers=0 is invalid: use 1 to 100$"):
        resolve(f"unit._target_={__name__}.Wide", "+unit.layers=0")


def test_custom_unit_starts_from_the_same_f_whatever_its_shortcut_draws(custom):
    one, other = (
        {key: value for key, value in custom(shortcut).state_dict().items() if ".h." not in key}
        for shortcut in ("ablate.models.shortcuts.NoShortcut", f"{__name__}.Filled")
    )
    assert len(one) == len(other)
    assert all(value.equal(other[key]) for key, value in one.items())


def test_custom_code_starts_from_the_seed_whichever_generator_it_draws_from(custom):
    one, again, other = (custom(f"{__name__}.Filled", seed).state_dict() for seed in (0, 0, 1))
    for key in one:
        assert one[key].equal(again[key])
        if key.endswith(("scale", "drawn", "first.bias")):
            assert (one[key] != other[key]).all()


def test_shortcut_starts_the_same_whatever_its_unit_draws(custom, resolve):
    config = resolve("depth=8")
    config.shortcut = {"name": "h", "_target_": f"{__name__}.Filled"}
    drawn = [[unit.h.drawn for _, unit in custom(f"{__name__}.Filled").units()]]
    drawn += [[unit.shortcut.drawn for _, unit in network(config).units()]]
    assert all(one.equal(other) for one, other in zip(*drawn, strict=True))


def test_name_in_no_decay_that_is_no_parameter_is_refused(resolve, monkeypatch):
    monkeypatch.setattr(Identity, "no_decay", ("scale",), raising=False)
    with pytest.raises(ConfigError, match=r"^a name in no_decay is not a parameter: .*Identity.*scale"):
        network(resolve("depth=8"))


def test_shortcuts_are_not_initialised_with_the_random_numbers_of_the_rest(resolve):
    """Two generators with one seed would give W_g a part of F's numbers, scaled."""
    built = network(resolve("shortcut=gate", "shortcut.weight_init=he", "depth=8"))
    shortcuts = [p.flatten() for name, p in built.named_parameters() if name.endswith("shortcut.gate.weight")]
    rest = torch.cat([p.flatten() for name, p in built.named_parameters() if "shortcut" not in name and p.dim() == 4])
    assert len(shortcuts) == 3
    for kernel in shortcuts:
        windows = rest.unfold(0, 64, 1)
        matches = torch.nn.functional.cosine_similarity(windows, kernel[None, :64])
        assert matches.max() < 0.9
