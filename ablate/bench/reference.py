"""The training loop that everybody writes: a DataLoader with workers, Pillow transforms, `loss.item()` at each step.

Its precision is torch's default: float32, with a GPU's convolutions in TF32.
"""

from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional
from torch.utils import data as torch_data
from torchvision import transforms

from ablate.config.schema import Config
from ablate.data.dataset import Dataset
from ablate.data.load import load
from ablate.models.build import build
from ablate.training.device import pick_device
from ablate.training.schedule import learning_rate, total_steps


class Images(torch_data.Dataset[tuple[Tensor, int]]):
    """Labelled images, transformed one at a time."""

    def __init__(self, x: Tensor, y: Tensor, *transform: Any) -> None:
        self.images, self.labels = x.permute(0, 2, 3, 1).numpy(), y.tolist()
        self.transform = transforms.Compose(transform)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index].squeeze())), self.labels[index]


class Reference:
    """The network of `config`, its recipe, and DataLoaders of the training and test images."""

    def __init__(self, config: Config) -> None:
        data, recipe, dataset = config.data, config.recipe, load(config.data)
        assert isinstance(dataset, Dataset)
        self.recipe, self.device = recipe, pick_device(config.device)
        centre = [transforms.ToTensor(), transforms.Normalize(dataset.mean[0], [1.0])]
        crop = [transforms.RandomCrop(dataset.shape[1:], padding=data.shift)] if data.shift else []
        flip = [transforms.RandomHorizontalFlip()] if data.flip else []
        train = Images(dataset.train_x, dataset.train_y, *crop, *flip, *centre)
        test = Images(dataset.test_x, dataset.test_y, *centre)
        # Workers persist: starting them for each epoch of twenty steps would slow the reference down needlessly.
        how: dict[str, Any] = {"num_workers": 2, "persistent_workers": True, "pin_memory": self.device.type == "cuda"}
        self.train = torch_data.DataLoader(train, recipe.batch, shuffle=True, drop_last=True, **how)
        self.test = torch_data.DataLoader(test, 1000, **how)
        self.network = build(config, shape=dataset.shape, classes=len(dataset.classes)).to(self.device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.total = total_steps(recipe, len(self.train))

    def steps(self) -> Iterator[None]:
        """Training steps without end."""
        step = 0
        while True:
            self.network.train()
            for x, y in self.train:
                x, y = x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)
                for group in self.optimizer.param_groups:
                    group["lr"] = learning_rate(step, self.total, self.recipe)
                self.optimizer.zero_grad()
                loss = functional.cross_entropy(self.network(x), y)
                loss.backward()
                self.optimizer.step()
                loss.item()
                step += 1
                yield

    def run(self) -> float:
        """Train with an evaluation after each epoch, and return the last test error in percent."""
        error = 100.0
        for number, _ in zip(range(1, self.total + 1), self.steps(), strict=False):
            if number % len(self.train) == 0 or number == self.total:
                error = self.evaluate()
        return error

    @torch.no_grad()
    def evaluate(self) -> float:
        """Test error in percent."""
        self.network.eval()
        wrong = 0
        for x, y in self.test:
            x, y = x.to(self.device), y.to(self.device)
            wrong += int((self.network(x).argmax(1) != y).sum().item())
        return 100 * wrong / len(self.test.dataset)  # type: ignore[arg-type]
