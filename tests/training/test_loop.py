import math

import numpy
import pytest
import torch

from ablate.base.errors import ConfigError
from ablate.training.loop import evaluate, per_pixel_mean, prepare, total_steps


def test_the_mean_is_subtracted_pixel_by_pixel():
    generator = numpy.random.default_rng(0)
    train = generator.integers(0, 256, (5003, 3, 4, 5), dtype=numpy.uint8)  # more than one part of 5,000
    mean = per_pixel_mean(torch.from_numpy(train))
    wanted = (train.astype(float) / 255).mean(0, keepdims=True)
    numpy.testing.assert_allclose(mean.numpy(), wanted, rtol=1e-6)
    batch = train[:7]
    prepared = prepare(torch.from_numpy(batch), mean)
    assert prepared.dtype == torch.float32
    numpy.testing.assert_allclose(prepared.numpy(), batch.astype(float) / 255 - wanted, atol=1e-6)


class Scripted(torch.nn.Module):
    """Logits that favour class 1, by the image's one pixel; in training it would answer otherwise."""

    def forward(self, x):
        score = x.mean((1, 2, 3)) if not self.training else torch.full((len(x),), math.nan)
        return torch.stack([torch.zeros_like(score), score], 1)


def test_evaluation_counts_every_picture_once():
    # 2,503 images, so that the last batch is smaller: 1,000 dark ones and 1,503 bright ones, all labelled 1
    x = torch.cat([torch.zeros(1000, 1, 1, 1), torch.full((1503, 1, 1, 1), 255)]).to(torch.uint8)
    mean = torch.full((1, 1, 1, 1), 0.25)
    net = Scripted().train()
    loss, error = evaluate(net, x, torch.ones(2503, dtype=torch.int64), mean, torch.float32)
    assert error == pytest.approx(100 * 1000 / 2503)  # the dark ones score -0.25
    wanted = (1000 * math.log(1 + math.exp(0.25)) + 1503 * math.log(1 + math.exp(-0.75))) / 2503
    assert loss == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("given", "steps"), [("epochs=3", 30), ("iterations=7", 7)])
def test_an_epoch_is_of_whole_batches(given, steps, resolve):
    assert total_steps(resolve(given, "recipe.batch=10").recipe, 109) == steps


def test_fewer_pictures_than_a_batch_are_refused(resolve):
    with pytest.raises(ConfigError, match=r"recipe.batch=64 is more than the 63"):
        total_steps(resolve().recipe, 63)
