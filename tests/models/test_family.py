"""Every order, unit, shortcut and option against the equations written out slowly, forward and backward.

The reference knows the papers' figures and the names of the parameters, and none of the program's modules.
"""

import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ablate.models.build import build

ORDERS = ("original", "bn_after_addition", "relu_before_addition", "relu_only_preactivation", "full_preactivation")
DEPTHS = {"single": 8, "basic": 8, "bottleneck": 11}  # two units a stage for single ones
OPTIONS = {"identity", "constant", "gate", "exclusive_gate", "dropout"}
SHORTCUTS = (
    *(f"{name} {option}" for name in sorted(OPTIONS) for option in "ABC"),
    *("identity B_bare", "identity C_bare", "none", "conv1x1 norm=false", "conv1x1 norm=true"),
)


class Reference:
    """The forward pass in training mode, by parameters of one network."""

    def __init__(self, network, order, shortcut, option, kernels, strided):
        self.p = {name: value.detach().clone().requires_grad_() for name, value in network.named_parameters()}
        self.order, self.shortcut, self.option = order, shortcut, option
        self.kernels, self.strided = kernels, strided
        self.units = [len(stage) for stage in network.stages]

    def bn(self, name, x):
        mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
        weight, bias = (self.p[f"{name}.{key}"][:, None, None] for key in ("weight", "bias"))
        return (x - mean) / (variance + 1e-5).sqrt() * weight + bias

    def conv(self, name, x, stride=1, padding=0):
        return functional.conv2d(x, self.p[f"{name}.weight"], self.p.get(f"{name}.bias"), stride, padding)

    def residual(self, unit, x, stride, first):
        """F(x), and what h is given: [B] Fig. 4 and its appendix."""
        names = iter(sorted({name.rsplit(".", 1)[0] for name in self.p if name.startswith(f"{unit}.residual")},
                            key=lambda name: int(name.rsplit(".", 1)[1])))  # fmt: skip
        fed = x
        if self.order == "full_preactivation" and not first:
            fed = self.bn(f"{unit}.before.0", x).relu()
        if self.order == "relu_only_preactivation" and not first:
            fed = x.relu()
        y = fed
        for at, size in enumerate(self.kernels):
            last = at == len(self.kernels) - 1
            y = self.conv(next(names), y, stride if at == self.strided else 1, size // 2)
            if not last:
                y = self.bn(next(names), y).relu()
            elif self.order in ("original", "relu_only_preactivation"):
                y = self.bn(next(names), y)
            elif self.order == "relu_before_addition":
                y = self.bn(next(names), y).relu()
        return y, fed

    def matched(self, unit, x, shape, stride):
        """Options A, B and C of [A]: x in the shape of F(x)."""
        changed = x.shape[1] != shape[1] or stride != 1
        if self.option in ("C", "C_bare") or (self.option in ("B", "B_bare") and changed):
            x = self.conv(f"{unit}.shortcut.match.0", x, stride)
            return x if "bare" in self.option else self.bn(f"{unit}.shortcut.match.1", x)
        x = x[:, :, ::stride, ::stride]
        return torch.cat([x, x.new_zeros(x.shape[0], shape[1] - x.shape[1], *x.shape[2:])], 1)

    def sum(self, unit, x, f, stride):
        """h(x) + F(x): [B] Table 1."""
        if self.shortcut == "none":
            return f
        if self.shortcut.startswith("conv1x1"):
            x = self.conv(f"{unit}.shortcut.projection.0", x, stride)
            return f + (self.bn(f"{unit}.shortcut.projection.1", x) if "true" in self.shortcut else x)
        x = self.matched(unit, x, f.shape, stride)
        if self.shortcut == "constant":
            return 0.5 * x + f
        if "gate" in self.shortcut:
            g = 1 / (1 + torch.exp(-self.conv(f"{unit}.shortcut.gate", x)))
            return (1 - g) * x + (g * f if self.shortcut.startswith("exclusive") else f)
        return x + f  # the identity, and dropout of nothing

    def __call__(self, x):
        if self.p["stem.0.weight"].shape[-1] == 7:
            x = functional.max_pool2d(self.bn("stem.1", self.conv("stem.0", x, 2, 3)).relu(), 3, 2, 1)
        else:
            x = self.bn("stem.1", self.conv("stem.0", x, 1, 1)).relu()
        for stage, count in enumerate(self.units):
            for index in range(count):
                unit, stride = f"stages.{stage}.{index}", 2 if stage and not index else 1
                f, fed = self.residual(unit, x, stride, first=stage == index == 0)
                given = fed if f.shape != x.shape else x
                x = self.sum(unit, given, f, stride)
                if self.order == "original":
                    x = x.relu()
                if self.order == "bn_after_addition":
                    x = self.bn(f"{unit}.after.0", x).relu()
        if self.order == "full_preactivation":
            x = self.bn("last.0", x).relu()
        if self.order == "relu_only_preactivation":
            x = x.relu()
        return functional.linear(x.mean((2, 3)), self.p["head.weight"], self.p["head.bias"])


@pytest.fixture(scope="module")
def nodes(resolve):
    """The configuration of each shortcut. A gate has a slope, and dropout drops nothing."""
    gate = ["shortcut.weight_init=he", "shortcut.bias_init=-1"]
    more = {"dropout": ["shortcut.p=0"], "gate": gate, "exclusive_gate": gate}
    found = {}
    for words in SHORTCUTS:
        name, _, parameter = words.partition(" ")
        own = [f"shortcut.{'option=' if name in OPTIONS else ''}{parameter}"] if parameter else []
        found[words] = resolve(f"shortcut={name}", *own, *more.get(name, [])).shortcut
    return found


KERNELS = {"single": (3,), "basic": (3, 3), "bottleneck": (1, 3, 1)}
IMAGENET = ("net=resnet18", "net.name=small", "net.stages=[1,2]")


def check(config, shape, strided, kind=Reference):
    """Two steps of gradient descent of the network of `config` and of a reference of this kind."""
    shortcut, unit = config.shortcut, config.unit
    network = build(config, shape=shape, classes=3).double().train()
    torch.manual_seed(0)
    for parameter in network.parameters():  # batch normalisation starts at 1 and 0
        parameter.data += 0.1 * torch.randn_like(parameter)
    name = f"conv1x1 norm={shortcut['norm']}".lower() if shortcut["name"] == "conv1x1" else shortcut["name"]
    kernels = KERNELS.get(unit["name"], (3, 3))
    reference = kind(network, unit["order"], name, shortcut.get("option"), kernels, strided)
    x, labels = torch.randn(6, *shape, dtype=torch.float64), torch.arange(6) % 3
    for _ in range(2):
        losses = []
        for model, parameters in ((network, dict(network.named_parameters())), (reference, reference.p)):
            loss = functional.cross_entropy(model(x), labels)
            gradients = torch.autograd.grad(loss, [*parameters.values()])
            losses.append((loss.item(), gradients))
            for value, gradient in zip(parameters.values(), gradients, strict=True):
                value.data -= 0.05 * gradient
        (ours, slopes), (theirs, wanted) = losses
        assert ours == pytest.approx(theirs, rel=1e-9), shortcut
        pairs = zip(reference.p, slopes, wanted, strict=True)
        far = [of for of, one, other in pairs if not torch.allclose(one, other, rtol=1e-6, atol=1e-9)]
        assert not far, shortcut


@pytest.mark.parametrize(("order", "unit"), [*itertools.product(ORDERS, DEPTHS)])
def test_network_is_that_of_the_equations(order, unit, resolve, nodes):
    config = resolve(f"unit={unit}", f"unit.order={order}", f"depth={DEPTHS[unit]}")
    for node in nodes.values():
        check(replace(config, shortcut=node), (1, 8, 8), strided=1 if unit == "bottleneck" else 0)


@pytest.mark.parametrize(("order", "unit"), [*itertools.product(ORDERS, DEPTHS)])
def test_network_for_imagenet_is_that_of_the_equations(order, unit, resolve, nodes):
    config = resolve(*IMAGENET, f"unit={unit}", f"unit.order={order}")
    for words in ("identity A", "gate B", "none"):
        check(replace(config, shortcut=nodes[words]), (3, 32, 33), strided=1 if unit == "bottleneck" else 0)


def test_first_convolution_of_a_bottleneck_has_the_stride_if_asked(resolve, nodes):
    config = resolve("unit=bottleneck", "unit.stride_in=1x1", "depth=11")
    for words in ("identity B_bare", "gate A", "none"):
        check(replace(config, shortcut=nodes[words]), (1, 8, 8), strided=0)
