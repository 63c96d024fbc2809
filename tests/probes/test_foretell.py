"""The sentence of a network before training."""

import math

import pytest
import torch

from ablate.models.build import build
from ablate.models.shortcuts import Identity
from ablate.probes.foretell import foretell
from ablate.probes.signal import measure
from tests.probes.small import digits

PLAIN = "expect it to train as a plain network of its depth, worse than with the identity"
KEPT = "nothing in it keeps this network from training"
HIGHER = "expect a higher error than with the identity"
CLOSED = f"but the units add only 2^-8.7 of F(x), so {HIGHER}"
NOT = "expect this network not to train"
NONE = "passes the gradient at no element, over 8 draws of its random numbers"


@pytest.mark.parametrize(
    ("words", "units", "what", "expected"),
    [
        ("constant depth=110", 54, "keeps 2^-54 of the gradient", NOT),
        ("none depth=110", 54, "keeps nothing of the gradient", NOT),
        ("gate_b0 depth=110", 54, "keeps 2^-54 of the gradient", f"{NOT} unless its gates open"),
        ("none depth=8", 3, "keeps nothing of the gradient", PLAIN),
        ("constant depth=20", 9, "keeps 2^-9 of the gradient", HIGHER),
        ("identity depth=20", 9, "keeps the gradient as it is", KEPT),
        ("gate depth=20", 9, "keeps 2^-0.032 of the gradient", KEPT),
        ("exclusive_gate depth=20", 9, "keeps 2^-0.032 of the gradient", CLOSED),
        ("constant,1.03 depth=20", 9, "multiplies the gradient by 2^0.38", KEPT),
        ("constant,1.05 depth=110", 54, "multiplies the gradient by 2^3.8, and with f in it by 2^2.6", HIGHER),
        ("dropout depth=110", 54, NONE, NOT),
    ],
)
def test_sentences(words, units, what, expected, resolve):
    (shortcut, _, scale), depth = words.split()[0].partition(","), words.split()[1]
    more = [f"shortcut.scale={scale}"] if scale else []
    sentence = foretell(digits(resolve(f"shortcut={shortcut}", depth, *more), count=4)).sentence
    assert sentence == f"over {units} units the shortcut path {what}: {expected}"


def test_sentence_of_a_path_that_amplifies_says_what_f_does(resolve):
    sentence = foretell(digits(resolve("shortcut=constant", "shortcut.scale=2", "depth=20"), count=4)).sentence
    assert sentence.startswith("over 9 units the shortcut path multiplies the gradient by 2^9, and with f in it by 2^")


class Overflowing(Identity):
    def forward(self, x, residual):
        return 1e30 * self.match(x) + residual


class Undefined(Identity):
    def forward(self, x, residual):
        return self.match(x) + math.nan * residual


class Steep(Identity):
    """(x²)^(1/2) has no finite derivative at 0."""

    def forward(self, x, residual):
        return self.match(x).square().sqrt() + residual


@pytest.mark.parametrize(
    ("kind", "where"),
    [("Overflowing", "the loss"), ("Undefined", "the loss"), ("Steep", "the gradient of the shortcut path")],
)
def test_numbers_that_are_not_finite_are_said(kind, where, resolve):
    config = resolve("shortcut=identity", f"shortcut._target_={__name__}.{kind}", "depth=8")
    network = build(config, shape=(1, 8, 8), classes=10)
    torch.manual_seed(1)
    found = measure(network, torch.randn(6, 1, 8, 8), torch.arange(6))
    told = foretell(found)
    assert told.sentence == f"over 3 units {where} is not finite: {NOT}"
    assert told.level == 0
    assert all(math.isfinite(one.largest) for one in found.jacobians)
