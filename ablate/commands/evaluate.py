"""Error, loss and confusion matrix of a trained network: a run's, or a file's."""

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table
from rich.text import Text

from ablate.base.errors import ConfigError
from ablate.base.files import to_json
from ablate.base.terminal import console, plain, say
from ablate.commands import path, warn
from ablate.config.resolve import from_overrides

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ablate.config.schema import Config
    from ablate.data.dataset import Dataset
    from ablate.data.streamed import Streamed
    from ablate.models.network import Network
    from ablate.runs.evaluation import Answers

EXAMPLES = """examples:
  ablate evaluate results/runs/digits-gate-d110-s0-0123456789abcdef     on the data that it was evaluated on
  ablate evaluate RUN data=folder data.root=images                      on other images of the same classes
  ablate evaluate resnet20-12fca82f.th depth=20 data=cifar10 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  ablate evaluate weights.pt depth=20 shortcut=gate --json | jq .error"""
WIDEST = 20
"""Classes whose confusion matrix is printed whole; of more, the MOST frequent confusions."""
MOST = 10


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="RUN_OR_FILE", type=path, help="a run's folder, or a file of weights")
    parser.add_argument("words", metavar="KEY=VALUE", nargs="*", help="the data; for a file, its network too")
    parser.add_argument("--mean", metavar="M,...", type=numbers, help="of each channel, in place of the mean image")
    parser.add_argument("--std", metavar="S,...", type=numbers, help="of each channel, by which images are divided")
    parser.add_argument(
        "--config-dir", metavar="FOLDER", type=path, action="append", help="of your configuration files"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")
    parser.add_argument("--trust", action="store_true", help="run code that the record names outside this package")


def numbers(text: str) -> list[float]:
    """Numbers with commas between them."""
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = [math.nan]
    if not all(map(math.isfinite, found)):
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas, as in 0.485,0.456,0.406")
    return found


def main(options: argparse.Namespace) -> None:
    import torch

    from ablate.runs.evaluation import answers
    from ablate.training.device import pick_device, pick_precision

    words = [*options.words, *(word for folder in options.config_dir or [] for word in ("--config-dir", str(folder)))]
    network: nn.Module
    if options.what.is_dir():
        config, dataset, network, mean = run_and_data(options.what, words, options.trust)
    else:
        config, dataset, network = _file(options.what, words)
        mean = dataset.mean
    channels = dataset.shape[0]
    std = torch.ones(1, channels, 1, 1)
    if options.mean:
        mean = _of_channels("--mean", options.mean, channels)
    if options.std:
        std = _of_channels("--std", options.std, channels)
        if not bool((std > 0).all()):
            raise ConfigError(f"--std {','.join(map(str, options.std))} is invalid: use numbers above 0")
    pick_precision("float32")
    device = pick_device(config.device)
    found = answers(network, dataset, mean, std, device)
    if options.json:
        say(to_json(_facts(options.what, config, dataset, found)))
    else:
        _show(options.what, config, dataset, found)


def run_and_data(folder: Path, words: list[str], trust: bool) -> "tuple[Config, Dataset | Streamed, Network, Tensor]":
    """A run's network and mean image, and its own dataset or another. Raises AblateError if they do not fit."""
    import torch

    from ablate.data.load import load
    from ablate.runs import layout
    from ablate.runs.reading import read_array, read_run
    from ablate.runs.trained import load_network

    for word in words:
        if not word.startswith(("data=", "data.", "device=")):
            raise ConfigError(f"{word} is not for a run, whose record says all but data and device: leave it out")
    network, _ = load_network(folder, trust=trust, how="--trust")
    run, mean = read_run(folder), torch.from_numpy(read_array(folder / layout.MEAN))[None]
    if not any(word.startswith("data=") for word in words):
        own = run.config["data"]
        keys = (
            "root",
            "validation",
            *(["size"] if own.get("size") else []),
            *(["views"] if own["name"] == "imagenet" else []),
        )
        words = [f"data={own['name']}", *(f"data.{key}={_quoted(own[key])}" for key in keys), *words]
    config = from_overrides(*words)
    dataset, images = load(config.data), run.result["images"]
    for what, here, there in (
        ("channels, height and width", list(dataset.shape), images["shape"]),
        ("classes", len(dataset.classes), len(images["classes"])),
    ):
        if here != there:
            raise ConfigError(f"data={config.data.name} has {what} {here}, and {folder} {there}: use other data")
    if list(dataset.classes) != images["classes"]:
        warn("evaluate", "the classes have other names than the run's, and are taken in their order")
    return config, dataset, network, mean


def _quoted(value: Any) -> str:
    """A value of a record as it is typed for Hydra."""
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    return "'" + value.replace("'", "\\'") + "'"


def _file(file: Path, words: list[str]) -> "tuple[Config, Dataset | Streamed, nn.Module]":
    """The network and the dataset of `words`, with the weights in a file. Raises AblateError if they do not fit."""
    from ablate.data.load import load
    from ablate.models.build import build
    from ablate.training.initial import load_weights

    config = from_overrides(*words)
    if config.init_from is not None:
        raise ConfigError(
            f"init_from={config.init_from} is for training; the weights are those in {file}: leave it out"
        )
    dataset = load(config.data)
    network = build(config, shape=dataset.shape, classes=len(dataset.classes))
    load_weights(network, file, str(file))
    return config, dataset, network


def _of_channels(option: str, values: list[float], channels: int) -> "Tensor":
    import torch

    if len(values) not in (1, channels):
        raise ConfigError(f"{option} has {len(values)} numbers, and the images {channels} channels: give one for each")
    return torch.tensor(values).reshape(1, -1, 1, 1).expand(1, channels, 1, 1)


def _facts(what: Path, config: "Config", dataset: "Dataset | Streamed", found: "Answers") -> dict[str, Any]:
    return {
        "evaluated": str(what),
        "data": config.data.name,
        "evaluated_on": dataset.evaluated_on,
        "images": found.images,
        "classes": list(dataset.classes),
        "error": found.error,
        "top5_error": found.top5_error,
        "loss": found.loss,
        "confusion": found.confusion.tolist(),
    }


def _show(what: Path, config: "Config", dataset: "Dataset | Streamed", found: "Answers") -> None:
    say(f"{what}: {found.images} {dataset.evaluated_on} images of data={config.data.name}")
    say(f"error        {found.error:.2f} %")
    if found.top5_error is not None:
        say(f"top-5 error  {found.top5_error:.2f} %")
    say(f"loss         {found.loss:.4f}")
    classes, confusion = [Text(plain(name)) for name in dataset.classes], found.confusion.tolist()
    if len(classes) <= WIDEST:
        table = Table(
            "true, as", *map(Column, classes), title="Images of each class, and the class given to them", title_style=""
        )
        for name, row in zip(classes, confusion, strict=True):
            table.add_row(name, *(str(count) if count else "" for count in row))
    else:
        table = Table("true", "given", "images", title="Most frequent confusions", title_style="")
        for count, true, given in confusions(confusion):
            table.add_row(classes[true], classes[given], str(count))
    console().print(table)


def confusions(confusion: list[list[int]]) -> list[tuple[int, int, int]]:
    """The MOST frequent mistakes, as images, true class and given class; the most frequent first."""
    pairs = [(count, true, given) for true, row in enumerate(confusion) for given, count in enumerate(row)]
    wrong = [one for one in pairs if one[0] and one[1] != one[2]]
    return sorted(wrong, key=lambda one: (-one[0], *one[1:]))[:MOST]
