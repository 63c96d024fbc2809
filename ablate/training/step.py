"""One training step: gather and augment the batch, forward, backward, SGD.

Its inputs are tensors that stay where they are, and nothing in it waits for the device: so a GPU can be given the whole
step as one graph (ablate.training.graph), and the loop around it says nothing but the learning rate.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.config import Recipe
from ablate.data.augment import Draw, crop_and_flip
from ablate.data.pictures import Pictures


class Step:
    """Calling it takes the step; `losses` (per_epoch,) and `wrong` () say what the epoch under way has given so far."""

    def __init__(
        self, net: nn.Module, pictures: Pictures, recipe: Recipe, mean: Tensor, *, shift: int, precision: torch.dtype
    ) -> None:
        device = pictures.train_x.device
        self.net, self.pictures, self.mean = net, pictures, mean
        self.shift, self.precision, self.device = shift, precision, device
        self.per_epoch, self.batch = len(pictures.train_y) // recipe.batch, recipe.batch
        self.rate = torch.tensor(recipe.learning_rate, device=device)
        # Weight decay acts on every parameter, gates and batch normalisation included, as in the papers' code.
        real = all(parameter.is_floating_point() for parameter in net.parameters())  # somebody's own may be complex
        self.optimizer = torch.optim.SGD(
            net.parameters(), self.rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay, fused=real
        )
        self.index = torch.zeros(1, dtype=torch.int64, device=device)  # of the next batch in its epoch
        self.losses = torch.zeros(self.per_epoch, device=device)
        self.wrong = torch.zeros((), dtype=torch.int64, device=device)
        self.chances: Draw | None = None

    def begin_epoch(self, chances: Draw, index: int = 0) -> None:
        """Take what the epoch has drawn, cut into batches, and stand before batch `index`."""
        whole = self.per_epoch * self.batch
        batches = Draw(
            *(
                part[:whole].reshape(self.per_epoch, self.batch, *part.shape[1:]).to(self.device)
                for part in (chances.order, chances.offsets, chances.flips)
            )
        )
        if self.chances is None:
            self.chances = batches
        else:  # into the same places, where a graph finds them
            self.chances.order.copy_(batches.order)
            self.chances.offsets.copy_(batches.offsets)
            self.chances.flips.copy_(batches.flips)
        self.index.fill_(index)

    def __call__(self) -> None:
        x, y = self.next_batch()
        logits = self.forward(x)
        loss = functional.cross_entropy(logits.float(), y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.note(loss, logits, y)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, classes) in the step's precision."""
        with torch.autocast(self.device.type, dtype=self.precision, enabled=self.precision != torch.float32):
            return self.net(x)

    def note(self, loss: Tensor, logits: Tensor, y: Tensor) -> None:
        """Keep the books, on the device."""
        self.losses.index_copy_(0, self.index, loss.detach()[None])
        self.wrong += (logits.detach().argmax(1) != y).sum()
        self.index += 1

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Pictures (B, C, H, W), augmented, and labels (B,)."""
        assert self.chances is not None
        # Not chances.order[self.index]: that would wait for the device to tell the index.
        chosen, offsets, flips = (
            part.index_select(0, self.index)[0]
            for part in (self.chances.order, self.chances.offsets, self.chances.flips)
        )
        x = prepare(self.pictures.train_x.index_select(0, chosen), self.mean)
        return crop_and_flip(x, offsets, flips, shift=self.shift), self.pictures.train_y.index_select(0, chosen)

    def momenta(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Each parameter that has one yet, and its momentum."""
        for parameter, state in self.optimizer.state.items():
            if (momentum := state.get("momentum_buffer")) is not None:
                yield parameter, momentum

    def state_dict(self) -> dict[str, Any]:
        """All of the step that a resumed run needs, beside where it is."""
        return {
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict()["state"],
            "losses": self.losses,
            "wrong": self.wrong,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Into the same places as far as there are any."""
        self.net.load_state_dict(state["net"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["optimizer"], "param_groups": groups})
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate  # what was loaded is a copy
        self.losses.copy_(state["losses"])
        self.wrong.copy_(state["wrong"])


def prepare(batch: Tensor, mean: Tensor) -> Tensor:
    """uint8 (B, C, H, W) to float32 less the mean, channels-last, the layout in which convolutions are fastest."""
    return (batch.float().div_(255) - mean).contiguous(memory_format=torch.channels_last)
