"""Training on images that are read as they are needed."""

import pytest
import torch

from tests.data.images import write_images


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


def test_probabilities_of_views_are_averaged(start, resolve, root):
    words = ("data=imagenet", f"data.root={root}", "data.size=32", "data.workers=0", "recipe.batch=5", "device=cpu")
    training = start(resolve(*words, "data.views=10", "depth=8", "iterations=1"))
    test = training.evaluate()
    (views, labels), = training.dataset.test_batches(training.step.batches.mean)  # fmt: skip
    with torch.no_grad():
        p = torch.stack([training.network(views[:, at]).softmax(1) for at in range(10)]).mean(0)
    assert test.predictions.equal(p.argmax(1))
    assert test.loss == pytest.approx(-p[torch.arange(12), labels].log().mean().item(), rel=1e-5)
    assert test.error == pytest.approx(100 * (p.argmax(1) != labels).float().mean().item())
    assert test.top5_error is None  # of three classes


def test_run_stopped_within_an_epoch_ends_with_the_same_bits(root, resolve, train):
    words = ("net=resnet18", "data=imagenet", f"data.root={root}", "data.size=32", "recipe.batch=8", "epochs=2")
    config = resolve(*words, "data.workers=2", "device=cpu")
    whole = train(config)
    stopped = train(config, stop=4)
    resumed = train(resolve(*words, "data.workers=0", "device=cpu"), resume=stopped.state)
    assert whole.weights.keys() == resumed.weights.keys()
    assert all(value.equal(resumed.weights[name]) for name, value in whole.weights.items())
