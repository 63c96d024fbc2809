"""A trained network as the bytes of a file for other programs."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ablate.base.errors import AblateError, ConfigError, one_line
from ablate.models.weights import MEAN, rename
from ablate.runs import layout
from ablate.runs.identity import NEUTRAL
from ablate.runs.naming import flatten
from ablate.runs.reading import read_array, read_run
from ablate.runs.trained import load_network

UNIT, SHORTCUT, RESNET = "ablate.models.units", "ablate.models.shortcuts", "ablate.models.resnet"
NEEDED: dict[str, dict[str, tuple[Any, ...]]] = {
    "torchvision": {
        "unit._target_": (f"{UNIT}.Basic", f"{UNIT}.Bottleneck"),
        "unit.order": ("original",),
        "unit.stride_in": ("3x3",),
        "shortcut._target_": (f"{SHORTCUT}.Identity",),
        "shortcut.option": ("B",),
        "width": (1,),
        "net._target_": (f"{RESNET}.imagenet", f"{RESNET}.cifar"),
    },
    "akamaster": {
        "unit._target_": (f"{UNIT}.Basic",),
        "unit.order": ("original",),
        "shortcut._target_": (f"{SHORTCUT}.Identity",),
        "shortcut.option": ("A",),
        "width": (1,),
        "net._target_": (f"{RESNET}.cifar",),
    },
}
"""The values that keys must have for a network to be one of a release's."""


def export(folder: Path, form: str, *, trust: bool = False) -> bytes:
    """The network of a finished run in the format torchvision, akamaster, safetensors or onnx.

    Raises AblateError as `load_network`, and ConfigError if the format has no such network.
    """
    network, _ = load_network(folder, trust=trust, how="--trust")
    run = read_run(folder)
    if form in NEEDED:
        check(folder, run.config, form)
        buffer = io.BytesIO()
        torch.save(rename(network.state_dict(), form), buffer)
        return buffer.getvalue()
    mean = torch.from_numpy(read_array(folder / layout.MEAN))
    if form == "safetensors":
        return _safetensors(folder, network, mean, run.config, run.result["images"])
    return _onnx(network, mean)


def check(folder: Path, tree: dict[str, Any], form: str) -> None:
    """Raise ConfigError if a release has no network of the configuration `tree`."""
    flat = flatten(NEUTRAL) | flatten(tree)
    for key, values in NEEDED[form].items():
        if flat.get(key) not in values:
            wanted, value = " or ".join(map(str, values)), str(flat.get(key)).removesuffix(".0")
            raise ConfigError(
                f"{folder} has {key}={value}, and {form}'s networks {wanted}: use --to safetensors, which takes any"
            )


def _safetensors(folder: Path, network: nn.Module, mean: Tensor, config: dict[str, Any], images: Any) -> bytes:
    """Our names, the mean image, and as text what is needed to build the network and to read its answers."""
    from safetensors import torch as safetensors

    state = network.state_dict()
    if others := [name for name, value in state.items() if not isinstance(value, Tensor)]:
        raise AblateError(f"{folder} has a state that is not a tensor, {others[0]}: safetensors holds only tensors")
    if MEAN in state:
        raise AblateError(
            f"{folder} has a tensor {MEAN}, as the mean image is called in the file: rename it in its class"
        )
    tensors = {name: value.clone() for name, value in state.items()}  # it refuses tensors that share memory
    facts = {"format": "pt", "config": json.dumps(config), "images": json.dumps(images)}
    return bytes(safetensors.save({**tensors, MEAN: mean}, facts))


class _Whole(nn.Module):
    """A network with the preparation of its images: float32 (N, C, H, W) in [0, 1] to logits."""

    def __init__(self, network: nn.Module, mean: Tensor) -> None:
        super().__init__()
        self.network = network
        self.mean = nn.Buffer(mean)

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images - self.mean)


def _onnx(network: nn.Module, mean: Tensor) -> bytes:
    try:
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise AblateError("--to onnx needs a package: pip install 'ablate[onnx]'") from error
    images = torch.zeros(2, *mean.shape)
    try:
        program = torch.onnx.export(
            _Whole(network, mean).eval(),
            (images,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            verbose=False,
        )
    except Exception as error:  # of custom code, or of what the exporter lacks
        raise AblateError(f"the network cannot be written as ONNX: {one_line(error)}") from error
    assert program is not None
    return bytes(program.model_proto.SerializeToString())
