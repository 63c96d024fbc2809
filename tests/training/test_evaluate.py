import math

import pytest
import torch

from ablate.data.dataset import Dataset
from ablate.training.evaluate import evaluate


class Scripted(torch.nn.Module):
    """Logits 0 and the image's mean; not a number in training mode."""

    def forward(self, x):
        score = x.mean((1, 2, 3)) if not self.training else torch.full((len(x),), math.nan)
        return torch.stack([torch.zeros_like(score), score], 1)


def test_evaluation_counts_every_image_once():
    # 2,503 images, so that the last batch is smaller: 1,000 dark ones and 1,503 bright ones, all labelled 1.
    x = torch.cat([torch.zeros(1000, 1, 1, 1), torch.full((1503, 1, 1, 1), 255)]).to(torch.uint8)
    mean = torch.full((1, 1, 1, 1), 0.25)
    pauses = []
    labels = torch.ones(2503, dtype=torch.int64)
    batches = Dataset(x[:1], labels[:1], x, labels, ("dark", "bright")).test_batches(mean)
    loss, error, predictions, top5_error = evaluate(Scripted().train(), batches, lambda: pauses.append(1))
    assert top5_error is None  # of two classes
    assert error == pytest.approx(100 * 1000 / 2503)  # the dark ones score -0.25
    wanted = (1000 * math.log(1 + math.exp(0.25)) + 1503 * math.log(1 + math.exp(-0.75))) / 2503
    assert loss == pytest.approx(wanted, rel=1e-5)
    assert predictions.tolist() == [0] * 1000 + [1] * 1503
    assert len(pauses) == 11
    # Of several processes, one with 2,250 images has 9 batches: no more pauses than it makes.
    for least in (2250, 2001):
        pauses.clear()
        batches = Dataset(x[:1], labels[:1], x, labels, ("dark", "bright")).test_batches(mean)
        evaluate(Scripted(), batches, lambda: pauses.append(1), least=least)
        assert len(pauses) == 9


def test_batches_on_an_accelerator_are_of_1000_images():
    x, y = torch.zeros(2503, 1, 1, 1, dtype=torch.uint8, device="meta"), torch.zeros(2503, dtype=int, device="meta")
    sizes = []

    class Sized(Scripted):
        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x)

    with pytest.raises(RuntimeError, match="meta"):  # its numbers cannot be read
        evaluate(Sized(), Dataset(x, y, x, y, ()).test_batches(torch.zeros(1, 1, 1, 1, device="meta")))
    assert sizes == [1000, 1000, 503]


class Ranked(torch.nn.Module):
    """The image's values as logits."""

    def forward(self, x):
        return x.flatten(1)


def test_image_is_right_among_five_if_its_class_is_one_of_the_five_most_probable():
    images = torch.arange(11.0).reshape(1, 11, 1, 1).repeat(4, 1, 1, 1)  # best first: 10, 9, 8, 7, 6, 5, ...
    test = evaluate(Ranked(), [(images, torch.tensor([10, 6, 5, 9]))])
    assert (test.error, test.top5_error) == (75, 25)


def test_views_of_an_image_count_with_the_mean_of_their_probabilities():
    views = torch.tensor([[[0.0, 1.0], [2.0, 0.0]], [[200.0, 0.0], [200.0, 0.0]]]).reshape(2, 2, 2, 1, 1)
    test = evaluate(Ranked(), [(views, torch.tensor([0, 1]))])
    first = -math.log((1 / (1 + math.e) + 1 / (1 + math.exp(-2))) / 2)
    assert test.loss == pytest.approx((first + 200) / 2)  # e^-200 is 0 in float32
    assert test.error == 50
