"""Parameters, multiply-adds and memory in training of a network by part, or of several networks."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ablate.base.errors import ConfigError
from ablate.base.files import to_json
from ablate.base.terminal import console, plain, say
from ablate.commands import configs, network_arguments
from ablate.config.check import IMAGENET
from ablate.runs.naming import variants

if TYPE_CHECKING:
    from ablate.config.schema import Config

EXAMPLES = """examples:
  ablate cost depth=110 shortcut=gate                              for the images of digits
  ablate cost depth=110 data=cifar10                               ... of CIFAR-10; nothing is read or downloaded
  ablate cost net=vgg16                                            for images of 224x224 and 1000 classes
  ablate cost net=resnet50 --size 64 --classes 200                 for other images of three channels
  ablate cost -m depth=20,56,110 shortcut=identity,gate            one line for each network of a grid
  ablate cost -m net=alexnet,vgg16,googlenet,resnet50 --json       for scripts

Activations are what each image of a batch adds to the memory that the forward pass in training keeps for the
backward pass, in float32."""
SIDE, CLASSES = 224, 1000
"""Of ImageNet."""
LARGEST = 1024
"""Pixels: three such images take 11 GB in the deepest network for ImageNet."""


def arguments(parser: argparse.ArgumentParser) -> None:
    network_arguments(parser)
    parser.add_argument("--size", type=int, metavar="N", help="images of NxN and three channels, in place of data=")
    parser.add_argument("--classes", type=int, metavar="N", help=f"classes (the data's; with --size {CLASSES})")
    parser.add_argument("--json", action="store_true", help="one JSON object, for scripts")


def main(options: argparse.Namespace) -> None:
    if options.size is not None and not 1 <= options.size <= LARGEST:
        raise ConfigError(f"--size {options.size} is invalid: use 1 to {LARGEST} pixels")
    if options.classes is not None and not 1 <= options.classes <= 1_000_000:
        raise ConfigError(f"--classes {options.classes} is invalid: use 1 or more")
    for word in options.words:
        if word.lstrip("+").startswith(("data=folder", "data=imagenet", "data.root")):
            raise ConfigError(f"no images are read: write --size 224 --classes 10 in place of {word}")
    if options.size and any(word.startswith("data=") for word in options.words):
        raise ConfigError("--size and data= are both given: give one of them")
    asked = configs("cost", options)
    names = variants([asdict(config) for config in asked])
    found = [_measured(config, name, options) for config, name in zip(asked, names, strict=True)]
    if options.json:
        say(to_json({"networks": found}))
    elif options.multirun:
        _show_several(found)
    else:
        _show(found[0])


def _measured(config: "Config", name: str, options: argparse.Namespace) -> dict[str, Any]:
    import torch

    from ablate.data.facts import facts
    from ablate.models.build import build
    from ablate.models.cost import Cost, costs

    known, whose = facts(config.data), f"of data={config.data.name}"
    shape, classes = (known.shape, known.classes) if known else ((3, SIDE, SIDE), CLASSES)
    if options.size:
        shape, classes, whose = (3, options.size, options.size), CLASSES, "as of --size"
    elif _is_for_imagenet(config) and not any(word.startswith("data=") for word in options.words):
        shape, classes, whose = (3, SIDE, SIDE), CLASSES, "as of ImageNet"
    classes = options.classes or classes
    torch.set_num_threads(1)  # on a busy machine, threads that wait for each other take seconds for small images
    network = build(config, shape=shape, classes=classes)
    if config.activation_checkpointing:
        from ablate.training.recompute import recompute_units

        recompute_units(network)
        name += " activation_checkpointing=true"
    parts = costs(network, shape)
    whole = Cost(*map(sum, zip(*parts.values(), strict=True)))
    return {
        "network": name,
        "depth": config.depth,
        "images": {"shape": list(shape), "classes": classes, "whose": whose},
        **whole._asdict(),
        "parts": [{"part": name, **cost._asdict()} for name, cost in parts.items()],
    }


def _is_for_imagenet(config: "Config") -> bool:
    return config.net["_target_"] == IMAGENET or ("size" in config.net and config.net["size"] is None)


COLUMNS = ("parameters", "multiply-adds", "activations (kB)")


def _numbers(cost: dict[str, Any]) -> list[str]:
    return [f"{cost['parameters']:,}", f"{cost['multiply_adds']:,}", f"{cost['activation_bytes'] / 1e3:,.1f}"]


def _images(found: dict[str, Any]) -> str:
    channels, height, width = found["images"]["shape"]
    return (
        f"an image of {height}x{width}x{channels} and {found['images']['classes']} classes, {found['images']['whose']}"
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("part", "network", "for") else "right", no_wrap=True)
    return table


def _show(found: dict[str, Any]) -> None:
    say(f"{found['network']}, depth {found['depth']}: for {_images(found)}")
    table = _table("part", *COLUMNS)
    for part in found["parts"]:
        table.add_row(Text(plain(part["part"])), *_numbers(part))
    table.add_row("all", *_numbers(found), style="bold")
    console().print(table)


def _show_several(found: list[dict[str, Any]]) -> None:
    images = list(dict.fromkeys(map(_images, found)))
    count = f"{len(found)} network{'s' * (len(found) > 1)}"
    say(f"{count}: for {images[0]}" if len(images) == 1 else count)
    table = _table("network", "depth", *COLUMNS, *(["for"] if len(images) > 1 else []))
    for one in found:
        where = [_images(one)] if len(images) > 1 else []
        table.add_row(Text(plain(one["network"])), str(one["depth"]), *_numbers(one), *where)
    console().print(table)
