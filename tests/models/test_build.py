from itertools import product

import pytest
import torch

from ablate.base.errors import ConfigError
from ablate.config.compose import known
from ablate.models import build


@pytest.mark.parametrize(("shortcut", "unit"), [*product(known("shortcut"), known("unit"))])
def test_every_shortcut_and_unit_builds_a_net_with_finite_logits_and_gradients(shortcut, unit, resolve):
    # 20 is a depth of basic units, 6n+2, and of bottlenecks, 9n+2
    net = build(resolve(f"shortcut={shortcut}", f"unit={unit}", "depth=20"), channels=1, classes=10)
    logits = net(torch.randn(4, 1, 8, 8))
    assert logits.shape == (4, 10)
    assert logits.isfinite().all()
    logits.sum().backward()
    # every parameter is in use: the plain network's too, which has no shortcut to learn
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("norm", ["true", "false"])
def test_a_parameter_of_the_command_line_reaches_the_shortcut(norm, resolve):
    net = build(resolve("depth=8", "shortcut=conv1x1", f"shortcut.norm={norm}"), channels=1, classes=10)
    assert len(net.stages[0][0].shortcut.projection) == (2 if norm == "true" else 1)


def test_an_unknown_parameter_is_one_sentence(resolve):
    with pytest.raises(ConfigError, match=r"shortcut gate cannot be built: .*'bias'"):
        build(resolve("shortcut=gate", "+shortcut.bias=1"), channels=1, classes=10)


def test_no_shortcut_is_drawn_from_the_numbers_of_the_rest(resolve):
    """Two generators of one seed would give W_g a stretch of F's numbers, scaled."""
    net = build(resolve("shortcut=gate", "depth=8"), channels=1, classes=10)
    shortcuts = [p.flatten() for name, p in net.named_parameters() if name.endswith("shortcut.gate.weight")]
    rest = torch.cat([p.flatten() for name, p in net.named_parameters() if "shortcut" not in name and p.dim() == 4])
    for kernel in shortcuts:
        windows = rest.unfold(0, 64, 1)
        matches = torch.nn.functional.cosine_similarity(windows, kernel[None, :64])
        assert matches.max() < 0.9
