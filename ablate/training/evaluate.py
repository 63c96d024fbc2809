"""Evaluation of a network on a dataset's test images."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ablate.training.group import Alone
from ablate.training.step import loss_of


class Test(NamedTuple):
    """Mean cross-entropy; error in percent; the class given to each image, int64 (N,), on the device; and the error if
    an image counts as right where its class is one of the TOP most probable, None with fewer than ENOUGH classes.
    """

    loss: float
    error: float
    predictions: Tensor
    top5_error: float | None


TOP, ENOUGH = 5, 11


@torch.no_grad()
def evaluate(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    pause: Callable[[], None] = lambda: None,
    group: Alone | None = None,
    least: float = math.inf,
) -> Test:
    """The network on all batches of normalised images (B, C, H, W), or of several views (B, V, C, H, W) of each, and
    labels (B,).

    In float32, without augmentation. Of several views the probabilities are averaged, as in Krizhevsky et al. 2012.
    `pause` is called between batches and may raise, to stop. In a group each process has a part of the batches, in the
    order of the ranks, and the result is that of all; `least` is the number of images that every process has.
    """
    network.eval()
    losses, predictions, wrong, missed, seen = [], [], [], [], 0
    for images, labels in batches:
        if images.ndim == 5:
            views = network(images.flatten(0, 1)).log_softmax(1).reshape(*images.shape[:2], -1)
            logits = views.logsumexp(1) - math.log(images.shape[1])  # a mean of probabilities may underflow to 0
        else:
            logits = network(images)
        losses.append(loss_of(logits, labels, reduction="sum"))
        predictions.append(logits.argmax(1))
        wrong.append((predictions[-1] != labels).sum())
        best = logits.topk(min(TOP, logits.shape[1]), 1).indices
        missed.append((best != labels[:, None]).all(1).sum())
        if seen < least:  # every process has this batch, and pauses with the others
            pause()
        seen += len(labels)
    together = group or Alone()
    predicted = together.joined(torch.cat(predictions))
    loss = together.total(sum(losses, torch.zeros((), device=predicted.device))).item()
    counts = (together.total(torch.stack(one).sum()) for one in (wrong, missed))
    error, top5_error = (100 * int(count) / len(predicted) for count in counts)
    return Test(loss / len(predicted), error, predicted, top5_error if logits.shape[1] >= ENOUGH else None)
