"""Compiled units on a GPU."""

import pytest
import torch

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def forget():
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(("graph", "shortcut"), [("false", "gate"), ("true", "gate")])
def test_compiled_units_give_the_losses_of_eager_ones(graph, shortcut, resolve, train, device):
    words = ("depth=8", f"shortcut={shortcut}", "iterations=8", f"device={device}")
    eager = train(resolve(*words))
    compiled = train(resolve(*words, "compile=true", f"graph={graph}"))
    assert compiled.losses == pytest.approx(eager.losses, rel=1e-2)
    assert compiled.losses[0] == pytest.approx(eager.losses[0], rel=1e-4)
    assert compiled.training.graphed == (graph == "true")


def test_compiled_units_in_bfloat16_give_the_losses_of_eager_ones(resolve, train, device):
    words = ("depth=8", "shortcut=gate", "iterations=8", f"device={device}")
    eager, compiled = (
        train(resolve(*words, f"compile={value}"), precision=torch.bfloat16).losses for value in ("false", "true")
    )
    assert compiled == pytest.approx(eager, rel=5e-2)
