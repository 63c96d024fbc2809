"""Whether a run is still at chance: no better than a network that gives every image the same answer.

ablate shortcut=none depth=110 stop_at_chance=0.5
"""

import math
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

LOSS, ERROR = 0.99, 0.95
"""Shares of the loss and the error of chance from which an epoch is at chance.

An epoch gives each image once, but for a last, smaller batch: what is left of it and of augmentation moves the mean of
a network that has learned nothing by far less than 1 %.
"""


class Chance(NamedTuple):
    """What a network reaches that gives every image the same answer, for given training labels.

    `loss`: cross-entropy in nats, if the answer is the shares of the classes: their entropy. `error`: percent, if it is
    the most frequent class.
    """

    loss: float
    error: float

    def holds(self, train_loss: float, train_error: float) -> bool:
        """Whether an epoch with this mean loss and this error in percent, as metrics.jsonl has them, is at chance.

        The loss alone would not do: a few batches can lift its mean above chance in an epoch in which the network
        gives a third of the images their class. The error counts each image once.
        """
        return train_loss >= LOSS * self.loss and train_error >= ERROR * self.error


class Check(NamedTuple):
    """The one check of a run: at the end of the epoch that has `step` in it, unless the run ends there."""

    step: int
    chance: Chance

    def due(self, done: int, batches: int) -> bool:
        """Whether an epoch of `batches` steps that ends after `done` steps is the one."""
        return done - batches < self.step <= done


def chance_of(labels: "Tensor") -> Chance:
    """The chance of training labels, int64 (N,)."""
    counts = [count for count in labels.bincount().tolist() if count]
    shares = [count / len(labels) for count in counts]
    return Chance(-sum(share * math.log(share) for share in shares), 100 * (1 - max(shares)))


def check_at(share: float, steps: int, chance: Chance) -> Check:
    """The check after a `share` of a run of `steps`: rounded as a milestone of the learning rate is."""
    return Check(max(1, round(share * steps)), chance)
