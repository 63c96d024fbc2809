"""Weights of other programs: what known releases call the tensors of a residual network, and the way back.

ablate depth=20 data=cifar10 init_from=resnet20-12fca82f.th
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ablate.base.errors import ConfigError
from ablate.models.shortcuts import PadChannels

MEAN = "mean"
"""The mean image, which an exported file holds beside the tensors of the network."""


class Release(NamedTuple):
    """The names of a release: convolution and normalisation of each layer, and the linear layer.

    S, U and K are the numbers of stage, unit and layer from 1; s, u and k from 0. Layers and projection are in a unit.
    """

    stem: tuple[str, str]
    unit: str
    layer: tuple[str, str]
    projection: tuple[str, str]
    head: str


# Names and shapes do not say where a bottleneck has its stride. All of these have it in the 3×3, our default.
RELEASES = {
    "torchvision": Release(  # also timm, and chenyaofo/pytorch-cifar-models
        ("conv1", "bn1"), "layer{S}.{u}", ("conv{K}", "bn{K}"), ("downsample.0", "downsample.1"), "fc"
    ),
    "akamaster": Release(  # akamaster/pytorch_resnet_cifar10
        ("conv1", "bn1"), "layer{S}.{u}", ("conv{K}", "bn{K}"), ("shortcut.0", "shortcut.1"), "linear"
    ),
    "transformers": Release(  # Hugging Face, as microsoft/resnet-50
        ("resnet.embedder.embedder.convolution", "resnet.embedder.embedder.normalization"),
        "resnet.encoder.stages.{s}.layers.{u}",
        ("layer.{k}.convolution", "layer.{k}.normalization"),
        ("shortcut.convolution", "shortcut.normalization"),
        "classifier.1",
    ),
    "pytorchcv": Release(  # its networks for CIFAR and SVHN
        ("features.init_block.conv", "features.init_block.bn"),
        "features.stage{S}.unit{U}",
        ("body.conv{K}.conv", "body.conv{K}.bn"),
        ("identity_conv.conv", "identity_conv.bn"),
        "output",
    ),
}
WRAPPED = ("state_dict", "model", "net")
"""Keys under which training scripts save a state_dict."""
SHOWN = 3
"""Tensors that an error names."""
NORM = ("weight", "bias", "running_mean", "running_var")
"""Tensors of batch normalisation with an entry for each channel."""


def fit(content: Any, network: nn.Module, what: str) -> dict[str, Any]:
    """The state_dict of `network` that has the weights in `content`, what was loaded from a checkpoint.

    Every tensor is used exactly once. Raises ConfigError, whose sentence begins with `what`, if one is missing, left
    over or of another shape, or the names are those of no known release.
    """
    found, state = _unwrap(content, what), network.state_dict()
    own = not state.keys().isdisjoint(found)
    release = "" if own else next((name for name, one in RELEASES.items() if f"{one.head}.weight" in found), "")
    if not release and not own:
        known = ", ".join(RELEASES)
        raise ConfigError(f"{what} has {_some(found)}: these are the names of no known release ({known})")
    if own:
        found.pop(MEAN, None)
    theirs = {name: _theirs(name, release) for name in state}
    for name, their in theirs.items():
        if name.endswith(".num_batches_tracked"):  # not in files of torch 0.4 and before, and without effect
            found.setdefault(their, state[name])
    missing = [their for their in theirs.values() if their not in found]
    left = [their for their in found if their not in theirs.values()]
    other = [
        f"{their} is {_shape(found[their])} and not {_shape(state[name])}"
        for name, their in theirs.items()
        if their in found and _shape(found[their]) != _shape(state[name])
    ]
    head, wanted = found.get(theirs.get("head.weight", "")), state.get("head.weight")
    if isinstance(head, Tensor) and wanted is not None and head.shape != wanted.shape == (len(wanted), *head.shape[1:]):
        count = len(head)
        raise ConfigError(f"{what} has {count} classes, and the data {len(wanted)}: use data of {count} classes")
    problems = (("it lacks", missing), ("the network has no", left), ("", other))
    if any(names for _, names in problems):
        said = "; ".join(f"{words} {_some(names)}".strip() for words, names in problems if names)
        raise ConfigError(f"{what} does not fit the network: {said}; use the net, depth, unit and shortcut of the file")
    fitted = {name: found[their] for name, their in theirs.items()}
    if not release or any(".match." in name for name in fitted):
        return fitted
    if release == "akamaster":
        return _reorder(fitted)
    if any(isinstance(module, PadChannels) for module in network.modules()):
        raise ConfigError(
            f"{what} has no projections: which channels {release}'s names mean in option A is not known; use a file of "
            "akamaster's, or shortcut.option=B"
        )
    return fitted


def rename(state: Mapping[str, Any], release: str) -> dict[str, Any]:
    """A network's state_dict with the names, and the order of channels, of a release: the reverse of `fit`."""
    if release == "akamaster" and not any(".match." in name for name in state):
        state = _reorder(state, back=True)
    return {_theirs(name, release): value for name, value in state.items()}


def _unwrap(content: Any, what: str) -> dict[str, Any]:
    for key in WRAPPED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ConfigError(f"{what} holds no state_dict: save network.state_dict() of the trained network")
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", str(name)): value for name, value in content.items()}


def _theirs(name: str, release: str) -> str:
    """What a release calls a tensor of ours; our own name if it has no such tensor."""
    module, _, tensor = name.rpartition(".")
    if not release:
        return name
    names = RELEASES[release]
    if module == "head":
        return f"{names.head}.{tensor}"
    if found := re.fullmatch(r"stem\.([01])", module):
        return f"{names.stem[int(found[1])]}.{tensor}"
    found = re.fullmatch(r"stages\.(\d+)\.(\d+)\.(residual|shortcut\.match)\.(\d+)", module)
    if not found:
        return name
    s, u, at = int(found[1]), int(found[2]), int(found[4])
    layers = found[3] == "residual"
    k, part = divmod(at, 3) if layers else (0, at)  # convolution, BN, ReLU; convolution, BN
    if part > 1:  # of a custom unit
        return name
    where = f"{names.unit}.{(names.layer if layers else names.projection)[part]}"
    return f"{where.format(S=s + 1, U=u + 1, K=k + 1, s=s, u=u, k=k)}.{tensor}"


def _reorder(state: Mapping[str, Any], *, back: bool = False) -> dict[str, Any]:
    """Weights for option A as akamaster pads, for zero channels appended; `back`: the other way.

    Where 16 channels become 32, akamaster puts 8 channels of zeros before and 8 after the 16; PadChannels puts 16 after
    them. A network computes the same if what reads or writes the channels of x is reordered: ours are theirs at
    [8..23, 0..7, 24..31]. In the next stage, theirs 16 further and then what is left, [24..39, 16..23, 40..47, 0..15,
    48..63]. Channels between the convolutions of F stay as they are.
    """
    moved = dict(state)

    def move(name: str, dimension: int, order: Tensor) -> None:
        moved[name] = moved[name].index_select(dimension, order.argsort() if back else order)

    order = torch.arange(len(state["stem.0.weight"]))
    for unit in dict.fromkeys(name[: name.index(".residual.")] for name in state if ".residual." in name):
        convolutions = [name for name in state if name.startswith(f"{unit}.residual.") and state[name].dim() == 4]
        first, last = convolutions[0], convolutions[-1]
        move(first, 1, order)
        if extra := len(state[last]) - len(order):
            order = order + extra // 2
            order = torch.cat([order, torch.tensor(sorted({*range(len(state[last]))} - {*order.tolist()}))])
        position = int(last.split(".")[-2])
        for name in (last, *(f"{unit}.residual.{position + 1}.{one}" for one in NORM)):
            move(name, 0, order)
    move("head.weight", 1, order)
    return moved


def _shape(value: Any) -> str:
    """'16x3x3x3'; with its type if that is not of floating point, in which all but counters are."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    size = "x".join(map(str, value.shape)) or "a number"
    return size if value.is_floating_point() else f"{size} {value.dtype}".replace("torch.", "")


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
