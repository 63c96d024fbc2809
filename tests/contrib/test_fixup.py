"""Fixup against its equation, and its initial values."""

import json

import pytest
from torch import nn

from ablate.base.errors import ConfigError
from ablate.models.build import build, rate_factors
from ablate.models.cost import parameters
from tests.contrib.slow import compare, pad
from tests.runs.test_run import only, stopped


def made(resolve, *words, shape=(1, 8, 8)):
    return build(resolve("net=fixup", *words), shape=shape, classes=10)


def forward(slow, x):
    """Algorithm 1 and Fig. 1 right of the paper, with the release's places of biases."""
    p = slow.p
    x = (slow.conv("stem.0", x) + p["stem.1.bias"]).relu()
    for stage in range(3):
        for number in range(2):
            unit, stride = f"stages.{stage}.{number}", 2 if stage and not number else 1
            shifted = x + p[f"{unit}.first_bias.bias"]
            f = (slow.conv(f"{unit}.residual.0", shifted, stride) + p[f"{unit}.residual.1.bias"]).relu()
            f = slow.conv(f"{unit}.residual.4", f + p[f"{unit}.residual.3.bias"])
            f = p[f"{unit}.residual.5.scale"] * f + p[f"{unit}.residual.6.bias"]
            x = (f + (pad(shifted, f.shape[1], 2) if stride == 2 else x)).relu()
    return slow.head(x + p["last.1.bias"])


def test_network_is_that_of_the_equations(resolve):
    compare(made(resolve, "depth=14"), forward)


def test_initial_weights_are_those_of_a_resnet_scaled_and_zeroed(resolve):
    """With 9 units the first convolution of each is divided by 3."""
    ours = made(resolve, "depth=20", "seed=3")
    basic = build(resolve("depth=20", "seed=3"), shape=(1, 8, 8), classes=10)
    pairs = [*zip(ours.units(), basic.units(), strict=True)]
    assert len(pairs) == 9
    for (_, one), (_, other) in pairs:
        assert (one.residual[0].weight * 3).allclose(other.residual[0].weight)
        assert not one.residual[4].weight.any()
        assert one.residual[5].scale == 1
        assert not any(bias.any() for name, bias in one.named_parameters() if name.endswith("bias"))
    assert ours.stem[0].weight.equal(basic.stem[0].weight)
    assert not ours.head.weight.any() | ours.head.bias.any()


def test_network_has_no_normalisation_and_the_parameters_counted_by_hand(resolve):
    """Convolutions 432 + 13,824 + 50,688 + 202,752, head 650, and 5 numbers for each of 9 units and 2 more."""
    network = made(resolve, "depth=20", shape=(3, 32, 32))
    assert not any(isinstance(one, nn.BatchNorm2d) for one in network.modules())
    assert parameters(network) == 268_346 + 47


def test_numbers_and_the_bias_of_the_head_have_a_tenth_of_the_learning_rate(resolve):
    network = made(resolve, "depth=8")
    found = rate_factors(network)
    assert {*found.values()} == {0.1}
    slow = {name for name, one in network.named_parameters() if one in found}
    assert slow == {name for name, one in network.named_parameters() if one.ndim == 0 or name == "head.bias"}
    assert len(slow) == 5 * 3 + 2 + 1


def test_units_with_normalisation_are_refused(resolve):
    with pytest.raises(ConfigError, match="net fixup cannot be built: its units must be without batch normalisation"):
        made(resolve, "unit=basic")


def test_run_records_its_factors_and_goes_on_where_it_was_stopped(ask, tmp_path, monkeypatch):
    """With Nesterov's momentum along a cosine."""
    words = ("net=fixup", "depth=8", "recipe=modern", "recipe.nesterov=true", "iterations=3", "device=cpu", "threads=1")
    assert ask(*words, f"results={tmp_path / 'whole'}").status == 0
    stopped(ask, monkeypatch, 2, *words)
    assert ask(*words).status == 0
    whole, resumed = (json.loads((only(tmp_path / one) / "result.json").read_text()) for one in ("whole", "runs"))
    assert resumed["resumed"] == 1
    assert resumed["weights_sha256"] == whole["weights_sha256"]
    factors = {name: own["rate_factor"] for name, own in whole["parameter_groups"].items()}
    assert {*factors.values()} == {0.1}
    assert len(factors) == 5 * 3 + 2 + 1
    assert {"stages.0.0.first_bias.bias", "stages.2.0.residual.5.scale", "head.bias"} <= factors.keys()
