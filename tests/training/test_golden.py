"""Training computes what it computed before: the loss of each step of short runs, kept in golden.json.

golden.json says by which commit they were recorded. A change that moves them changes what every record means, and needs
a new SCHEMA in ablate/runs/identity.py.
"""

import json
from pathlib import Path

import pytest
import torch

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())
ROUNDING = {"float32": (20, 2e-3), "float64": (45, 1e-9)}
"""Steps that are compared, and the relative difference that another processor's order of summing may make in them."""


@pytest.mark.parametrize("name", GOLDEN["curves"])
def test_losses_are_unchanged(name, resolve, train):
    case, _, dtype = name.partition("/")
    golden = GOLDEN["curves"][name]
    config = resolve(*GOLDEN["cases"][case], "device=cpu", "precision=float32")
    found = train(config, dtype=getattr(torch, dtype))
    steps, rounding = ROUNDING[dtype]
    assert len(found.losses) == len(golden["losses"])
    assert found.losses[:steps] == pytest.approx(golden["losses"][:steps], rel=rounding)
    if dtype == "float64":
        evaluations = [(one.test_loss, one.test_error) for one in found.evaluations]
        assert evaluations == [pytest.approx(one, rel=1e-6) for one in golden["evaluations"]]
