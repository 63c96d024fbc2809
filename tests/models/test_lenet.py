"""LeNet-5 against a public one in torch, on the same digits."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import ablate
from ablate.data.digits import load_digits

SEEDS = range(3)
NOISE = 1.5
"""Percent: three times the standard error of the difference of two means over three seeds that vary by 0.5."""


def public_error(seed):
    """The test error of github.com/activatedgeek/LeNet-5 (033c6f3) after 20 epochs in batches of 64: ReLU, maximum
    pooling, Adam at 0.002, pixels from 0 to 1, images scaled to 32×32.
    """
    digits = load_digits()
    x, test = (functional.interpolate(one / 255, (32, 32), mode="bilinear") for one in (digits.train_x, digits.test_x))
    layers = [[nn.Conv2d(into, out, 5), nn.ReLU(), nn.MaxPool2d(2)] for into, out in ((1, 6), (6, 16))]
    linear = [nn.Conv2d(16, 120, 5), nn.ReLU(), nn.Flatten(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(*layers[0], *layers[1], *linear)
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        for _ in range(20):
            for batch in torch.randperm(len(x)).split(64):
                optimizer.zero_grad()
                functional.cross_entropy(network(x[batch]), digits.train_y[batch]).backward()
                optimizer.step()
    with torch.no_grad():
        return 100 * (network(test).argmax(1) != digits.test_y).double().mean().item()


@pytest.mark.long
def test_lenet5_reaches_the_error_of_a_public_implementation(tmp_path):
    """At five times the rate of the recipe for residual networks, and without shifted images, as there."""
    words = ("net=lenet5", "shortcut=none", "recipe.learning_rate=0.1", "data.shift=0", "device=cpu")
    ours = [ablate.run(*words, f"seed={seed}", f"results={tmp_path}").test_error for seed in SEEDS]
    theirs = [public_error(seed) for seed in SEEDS]
    assert sum(theirs) / 3 < 5  # the public one has learned
    assert sum(ours) / 3 < sum(theirs) / 3 + NOISE, (ours, theirs)
