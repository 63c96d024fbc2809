"""One training step: batch, forward, backward, SGD.

It reads and writes tensors in place and never waits for the device, so that the whole step can be captured as a CUDA
graph (ablate.training.graph).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from ablate.config.schema import Recipe
from ablate.data.batches import Batches
from ablate.training.group import Alone
from ablate.training.sgd import SGD


class Step:
    """Calling it takes one step, at the learning rate in `rate`, a tensor ().

    `losses` (per_epoch,) and `wrong` () are the metrics of the epoch so far, on the device. In a group of processes
    `batches` are this process's parts; the metrics and, after `join`, the gradients are those of whole batches.
    """

    def __init__(
        self, network: nn.Module, batches: Batches, recipe: Recipe, precision: torch.dtype, group: Alone | None = None
    ) -> None:
        device = batches.index.device
        self.network, self.batches, self.device, self.precision = network, batches, device, precision
        self.group, self.forward = group or Alone(), network
        self.measure: Callable[[], None] | None = None  # called once there are gradients, before the weights change
        self.rate = torch.tensor(recipe.learning_rate, device=device)
        self.optimizer = SGD(network, self.rate, recipe)
        self.losses = torch.zeros(batches.per_epoch, device=device)
        self.wrong = torch.zeros((), dtype=torch.int64, device=device)

    def join(self) -> None:
        """Average gradients over the group from now on. The leader's weights and buffers become everyone's."""
        if not self.group.place.alone:
            # A parameter may be unused in some processes alone: where a unit is dropped at random.
            self.forward = DistributedDataParallel(self.network, find_unused_parameters=True)

    def begin_epoch(self, epoch: int, index: int = 0) -> None:
        """Go to batch `index` of an epoch. At its first batch the metrics are reset."""
        if index == 0:
            self.wrong.zero_()
        self.batches.begin_epoch(epoch, index)
        self.network.train()

    def __call__(self) -> None:
        x, y = self.batches.next()
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            logits = self.forward(x)
        loss = loss_of(logits, y)
        self.network.zero_grad()
        loss.backward()
        if self.measure is not None:
            self.measure()
        self.optimizer.step()
        mean = self.group.total(loss.detach() / self.group.place.size)
        self.losses.index_copy_(0, self.batches.index, mean[None].to(self.losses.dtype))
        self.wrong += self.group.total((logits.detach().argmax(1) != y).sum())
        self.batches.index += 1

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, except the position."""
        return {
            "network": self.network.state_dict(),
            "momenta": self.optimizer.momenta,
            "losses": self.losses,
            "wrong": self.wrong,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        for momentum, saved in zip(self.optimizer.momenta, state["momenta"], strict=True):
            momentum.copy_(saved)
        self.losses.copy_(state["losses"])
        self.wrong.copy_(state["wrong"])


def loss_of(logits: Tensor, y: Tensor, *, reduction: str = "mean") -> Tensor:
    """Cross-entropy of logits (B, classes) in float32, or in float64 for a network in float64."""
    return functional.cross_entropy(logits.to(torch.promote_types(logits.dtype, torch.float32)), y, reduction=reduction)
