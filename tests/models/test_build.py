from itertools import product

import pytest
import torch
from torch import nn

from ablate.base.errors import ConfigError
from ablate.config.compose import options
from ablate.models.build import build, check_buildable


def network(config):
    return build(config, channels=1, classes=10)


@pytest.mark.parametrize(("shortcut", "unit"), [*product(options("shortcut"), options("unit"))])
def test_every_shortcut_and_unit_gives_finite_logits_and_gradients(shortcut, unit, resolve):
    built = network(resolve(f"shortcut={shortcut}", f"unit={unit}", "depth=8"))
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
            "dropout .*: shortcut.p=1.0 is out of range: it must be from 0 to below",
        ),
        (("shortcut=dropout", "shortcut.p=-0.1"), "dropout .*: shortcut.p=-0.1 is out of range: it must be from 0 to"),
        (("shortcut.option=D",), "identity .*: shortcut.option=D is out of range: it must be A, B or C$"),
        (
            ("shortcut=gate", "+shortcut.bias=1"),
            r"gate .*: Gate.__init__\(\) got an unexpected keyword argument 'bias'$",
        ),
    ],
)
def test_parameter_that_a_shortcut_refuses_is_one_sentence(words, sentence, resolve):
    config = resolve(*words)
    with pytest.raises(ConfigError, match=f"^shortcut {sentence.replace('.*', 'cannot be built')}"):
        check_buildable(config)


def test_unit_that_cannot_be_built_is_named(resolve):
    with pytest.raises(ConfigError, match=r"^unit basic cannot be built: .*'width'"):
        check_buildable(resolve("+unit.width=2"))


class Refusing(nn.Module):
    def __init__(self, *_, error):
        raise {"exit": SystemExit(3), "key": KeyError("k"), "lines": ValueError("one\ntwo")}[error]


@pytest.mark.parametrize(("error", "reason"), [("exit", "SystemExit: 3"), ("key", "KeyError: 'k'"), ("lines", "one")])
def test_error_of_a_custom_constructor_is_one_sentence(error, reason, resolve):
    config = resolve()
    config.shortcut = {"name": "refusing", "_target_": f"{__name__}.Refusing", "error": error}
    with pytest.raises(ConfigError, match=f"^shortcut refusing cannot be built: {reason}$"):
        check_buildable(config)


def test_shortcuts_are_not_initialised_with_the_random_numbers_of_the_rest(resolve):
    """Two generators with one seed would give W_g a part of F's numbers, scaled."""
    built = network(resolve("shortcut=gate", "depth=8"))
    shortcuts = [p.flatten() for name, p in built.named_parameters() if name.endswith("shortcut.gate.weight")]
    rest = torch.cat([p.flatten() for name, p in built.named_parameters() if "shortcut" not in name and p.dim() == 4])
    assert len(shortcuts) == 3
    for kernel in shortcuts:
        windows = rest.unfold(0, 64, 1)
        matches = torch.nn.functional.cosine_similarity(windows, kernel[None, :64])
        assert matches.max() < 0.9
