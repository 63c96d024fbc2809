"""Whole networks of contributed shortcuts and units against their equations, in two steps of gradient descent."""

import pytest
import torch

from tests.models.test_family import Reference, check


class Contributed(Reference):
    """The sum of each contributed shortcut, in the papers' words."""

    def sum(self, unit, x, f, stride):
        units = sum(self.units)
        x = self.matched(unit, x, f.shape, stride)
        if self.shortcut == "skipinit":
            return x + self.p[f"{unit}.shortcut.alpha"] * f
        if self.shortcut == "rezero":
            return x + self.p[f"{unit}.shortcut.alpha"] * f.clamp(min=0)
        if self.shortcut == "layerscale":
            return x + self.p[f"{unit}.shortcut.scale"] * f
        if self.shortcut == "weighted":
            return x + self.p[f"{unit}.shortcut.weight"] * f
        if self.shortcut == "stable":
            return x + f / units**0.5
        if self.shortcut == "deepnorm":
            return units**0.25 * x + f
        assert self.shortcut == "identity"
        return x + f


class Highway(Reference):
    """T is computed from what the shortcut is given, before it has the shape of F."""

    def sum(self, unit, x, f, stride):
        gate = f"{unit}.shortcut.gate"
        t = self.bn(f"{gate}.1", self.conv(f"{gate}.0", x, stride, 1)).clamp(min=0)
        t = 1 / (1 + torch.exp(-self.bn(f"{gate}.4", self.conv(f"{gate}.3", t, 1, 1))))
        return t * f.clamp(min=0) + (1 - t) * self.matched(unit, x, f.shape, stride)


@pytest.mark.parametrize("option", ["A", "B"])
@pytest.mark.parametrize("order", ["original", "relu_before_addition", "full_preactivation"])
@pytest.mark.parametrize("name", ["skipinit", "rezero", "layerscale", "weighted", "stable"])
def test_network_of_scaled_residuals_is_that_of_the_equations(name, order, option, resolve):
    config = resolve("depth=8", f"shortcut={name}", f"unit.order={order}", f"shortcut.option={option}")
    check(config, (1, 8, 8), 0, Contributed)


def test_highway_network_is_that_of_the_equations(resolve):
    words = ("depth=8", "shortcut=highway", "shortcut.bias_init=-1", "unit.order=relu_before_addition")
    check(resolve(*words), (1, 8, 8), 0, Highway)


def test_deepnorm_network_is_that_of_the_equations(resolve):
    check(resolve("depth=14", "shortcut=deepnorm", "unit=deepnorm"), (1, 8, 8), 0, Contributed)


def test_network_of_zeroed_units_is_that_of_the_equations(resolve):
    for order in ("original", "full_preactivation"):
        check(resolve("depth=8", "unit=zero_gamma", f"unit.order={order}"), (1, 8, 8), 0, Contributed)
