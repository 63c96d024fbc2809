"""The training loop as everybody writes it, to be measured against: a DataLoader with workers, PIL transforms of
torchvision, eager float32 (a GPU's convolutions in TF32, as torch has it), `loss.item()` at every step."""

from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from ablate.config.schema import Config
from ablate.data.dataset import Dataset
from ablate.data.load import load
from ablate.models import build
from ablate.training.device import pick_device
from ablate.training.loop import per_pixel_mean, total_steps
from ablate.training.schedule import learning_rate

WORKERS = 2


class Augmented(Dataset[tuple[Tensor, int]]):
    """One image at a time, through Pillow."""

    def __init__(self, x: Tensor, y: Tensor, transform: transforms.Compose) -> None:
        self.dataset, self.labels, self.transform = x.permute(0, 2, 3, 1).numpy(), y.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.dataset[index]
        image = Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image)
        return self.transform(image), self.labels[index]


class Centre:
    """Subtracts the mean image."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def __call__(self, x: Tensor) -> Tensor:
        return x - self.mean


class Reference:
    """The network of `config` in a loop of the plain kind."""

    def __init__(self, config: Config, dataset: Dataset | None = None) -> None:
        self.config, data = config, config.data
        self.device = pick_device(config.device)
        dataset = dataset or load(data)
        mean = per_pixel_mean(dataset.train_x)[0]
        centre = [transforms.ToTensor(), Centre(mean)]
        crop = [transforms.RandomCrop(dataset.train_x.shape[2:], padding=data.shift)] if data.shift else []
        flip = [transforms.RandomHorizontalFlip()] if data.flip else []
        # The workers stay: to start them anew for each epoch of twenty steps would be no fair opponent.
        pinned = self.device.type == "cuda"
        kept: dict[str, Any] = {"num_workers": WORKERS, "persistent_workers": True, "pin_memory": pinned}
        train = Augmented(dataset.train_x, dataset.train_y, transforms.Compose([*crop, *flip, *centre]))
        test = Augmented(dataset.test_x, dataset.test_y, transforms.Compose(centre))
        self.train = DataLoader(train, config.recipe.batch, shuffle=True, drop_last=True, **kept)
        self.test = DataLoader(test, 1000, **kept)
        torch.manual_seed(config.seed)
        self.net = build(config, channels=dataset.channels, classes=len(dataset.classes)).to(self.device)
        recipe = config.recipe
        self.optimizer = torch.optim.SGD(
            self.net.parameters(), recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self.total = total_steps(recipe, len(dataset.train_y))
        self.loss = nn.CrossEntropyLoss()

    def steps(self) -> Iterator[None]:
        """Takes a step each time it is asked, one epoch after another."""
        step = 0
        while True:
            self.net.train()
            for x, y in self.train:
                x, y = x.to(self.device, non_blocking=True), y.to(self.device, non_blocking=True)
                for group in self.optimizer.param_groups:
                    group["lr"] = learning_rate(step, self.total, self.config.recipe)
                self.optimizer.zero_grad()
                loss = self.loss(self.net(x), y)
                loss.backward()
                self.optimizer.step()
                loss.item()
                step += 1
                yield

    def run(self) -> float:
        """The whole training with an evaluation an epoch; gives the last one's error in percent."""
        error = 100.0
        for number, _ in enumerate(self.steps(), 1):
            if number % len(self.train) == 0 or number == self.total:
                error = self.evaluate()
            if number == self.total:
                return error
        raise AssertionError("steps do not end")

    @torch.no_grad()
    def evaluate(self) -> float:
        self.net.eval()
        wrong, seen, loss = 0, 0, 0.0
        for x, y in self.test:
            x, y = x.to(self.device), y.to(self.device)
            logits = self.net(x)
            loss += functional.cross_entropy(logits, y, reduction="sum").item()
            wrong += int((logits.argmax(1) != y).sum().item())
            seen += len(y)
        self.net.train()
        return 100 * wrong / seen
