"""Write the network of a finished run for torchvision, safetensors or ONNX."""

import argparse
from pathlib import Path

from ablate.base.errors import ConfigError
from ablate.base.files import write_whole, writing
from ablate.base.terminal import say
from ablate.commands import path

EXAMPLES = """examples:
  ablate export RUN --to safetensors                          any network, with its configuration and mean image
  ablate export RUN --to torchvision --out resnet18.pt        a state_dict, of option B
  ablate export RUN --to akamaster                            of option A; pytorch_resnet_cifar10
  ablate export RUN --to onnx                                 with the preparation of images; needs ablate[onnx]"""
FORMATS = {
    "torchvision": "-torchvision.pt",
    "akamaster": "-akamaster.pt",
    "safetensors": ".safetensors",
    "onnx": ".onnx",
}
"""How the name of a file of each format ends."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=path, help="a run's folder")
    parser.add_argument("--to", choices=FORMATS, required=True, help="the format")
    parser.add_argument("--out", metavar="FILE", type=path, help="the file (its name is the run's)")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--trust", action="store_true", help="run code that the record names outside this package")


def main(options: argparse.Namespace) -> None:
    from ablate.runs.export import export  # torch

    file = options.out or Path(options.run.resolve().name + FORMATS[options.to])
    if file.exists() and not options.overwrite:
        raise ConfigError(f"{file} is there already: add --overwrite, or name another with --out")
    content = export(options.run, options.to, trust=options.trust)
    with writing(file, "use another --out"):
        write_whole(file, content)
    say(f"written: {file}")
