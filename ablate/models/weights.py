"""Weights of other programs: what known releases call the tensors of a residual network, and the way back.

ablate depth=20 data=cifar10 init_from=resnet20-12fca82f.th
"""

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ablate.base.errors import ConfigError
from ablate.models.shortcuts import PadChannels

MEAN = "mean"
"""The mean image, which an exported file holds beside the tensors of the network."""


class Release(NamedTuple):
    """The names of a release: of a convolution and its normalisation, with a space between them; of the linear layer.

    S, U and K are the numbers of stage, unit and layer from 1; s, u and k from 0. Layers and projection are in a unit.
    """

    stem: str
    unit: str
    layer: str
    projection: str
    head: str


# Names and shapes do not say where a bottleneck has its stride. All of these have it in the 3×3, our default.
# torchvision's names are also timm's and those of chenyaofo/pytorch-cifar-models; akamaster's are those of
# pytorch_resnet_cifar10, transformers' those of microsoft/resnet-50, pytorchcv's those of its networks for CIFAR.
RELEASES = {
    "torchvision": Release("conv1 bn1", "layer{S}.{u}", "conv{K} bn{K}", "downsample.0 downsample.1", "fc"),
    "akamaster": Release("conv1 bn1", "layer{S}.{u}", "conv{K} bn{K}", "shortcut.0 shortcut.1", "linear"),
    "transformers": Release(
        "resnet.embedder.embedder.convolution resnet.embedder.embedder.normalization",
        "resnet.encoder.stages.{s}.layers.{u}",
        "layer.{k}.convolution layer.{k}.normalization",
        "shortcut.convolution shortcut.normalization",
        "classifier.1",
    ),
    "pytorchcv": Release(
        "features.init_block.conv features.init_block.bn",
        "features.stage{S}.unit{U}",
        "body.conv{K}.conv body.conv{K}.bn",
        "identity_conv.conv identity_conv.bn",
        "output",
    ),
}


def fit(content: Any, network: nn.Module, what: str) -> dict[str, Any]:
    """The state_dict of `network` that has the weights in `content`, what was loaded from a checkpoint.

    Every tensor is used exactly once. Raises ConfigError, whose sentence begins with `what`, if one is missing, left
    over or of another shape, or the names are those of no known release.
    """
    found, state = _unwrap(content, what), network.state_dict()
    release = next((name for name, one in RELEASES.items() if f"{one.head}.weight" in found), "")
    if not state.keys().isdisjoint(found):  # our own names
        release = ""
        if MEAN not in state:
            found.pop(MEAN, None)
    elif not release:
        known = ", ".join(RELEASES)
        raise ConfigError(f"{what} has {_some(found)}: these are the names of no known release ({known})")
    ours = {_theirs(name, release): name for name in state}
    for their, name in ours.items():
        if name.endswith(".num_batches_tracked"):  # not in files of torch 0.4 and before, and without effect
            found.setdefault(their, state[name])
    missing = [their for their in ours if their not in found]
    left = [their for their in found if their not in ours]
    other = [
        f"{their} is {_shape(found[their])} and not {_shape(state[name])}"
        for their, name in ours.items()
        if their in found and _shape(found[their]) != _shape(state[name])
    ]
    head, wanted = found.get(_theirs("head.weight", release)), state.get("head.weight")
    if isinstance(head, Tensor) and wanted is not None and head.shape != wanted.shape == (len(wanted), *head.shape[1:]):
        classes = len(head)
        raise ConfigError(f"{what} has {classes} classes, and the data {len(wanted)}: use data of {classes} classes")
    problems = (("it lacks ", missing), ("the network has no ", left), ("", other))
    if said := "; ".join(words + _some(names) for words, names in problems if names):
        raise ConfigError(f"{what} does not fit the network: {said}; use the net, depth, unit and shortcut of the file")
    fitted = {name: found[their] for their, name in ours.items()}
    if release == "akamaster":
        return _reorder(fitted)
    if release and any(isinstance(module, PadChannels) for module in network.modules()):
        raise ConfigError(
            f"{what} has no projections: which channels {release}'s names mean in option A is not known; use a file of "
            "akamaster's, or shortcut.option=B"
        )
    return fitted


def rename(state: Mapping[str, Any], release: str) -> dict[str, Any]:
    """A network's state_dict with the names, and the order of channels, of a release: the reverse of `fit`."""
    if release == "akamaster":
        state = _reorder(state, back=True)
    return {_theirs(name, release): value for name, value in state.items()}


def _unwrap(content: Any, what: str) -> dict[str, Any]:
    for key in ("state_dict", "model", "net"):  # under which training scripts save it
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise ConfigError(f"{what} holds no state_dict: save network.state_dict() of the trained network")
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", str(name)): value for name, value in content.items()}


def _theirs(name: str, release: str) -> str:
    """What a release calls a tensor of ours; our own name if it has no such tensor."""
    if not release:
        return name
    names = RELEASES[release]
    if name.startswith("head."):
        return name.replace("head", names.head, 1)
    found = re.fullmatch(r"(?:stages\.(\d+)\.(\d+)\.)?(stem|residual|shortcut\.match)\.(\d+)\.(\w+)", name)
    if not found:
        return name
    s, u, at = (int(number or 0) for number in found.group(1, 2, 4))
    k, part = divmod(at, 3)  # convolution, BN, ReLU
    if part == 2 or (k and found[3] != "residual"):  # of custom code
        return name
    pair = {"stem": names.stem, "residual": names.layer, "shortcut.match": names.projection}[found[3]].split()
    where = f"{names.unit}.{pair[part]}" if found[1] else pair[part]
    return f"{where.format(S=s + 1, U=u + 1, K=k + 1, s=s, u=u, k=k)}.{found[5]}"


def _reorder(state: Mapping[str, Any], *, back: bool = False) -> dict[str, Any]:
    """Weights for option A as akamaster pads, for zero channels appended; `back`: the other way.

    Where 16 channels become 32, akamaster puts 8 channels of zeros before and 8 after the 16; PadChannels puts 16 after
    them. A network computes the same if what reads or writes the channels of x is reordered: ours are theirs at
    [8..23, 0..7, 24..31]. In the next stage, theirs 16 further and then what is left, [24..39, 16..23, 40..47, 0..15,
    48..63]. Channels between the convolutions of F stay as they are, and all do in a network with projections.
    """
    if any(".match." in name for name in state):
        return dict(state)
    moved, order = dict(state), torch.arange(len(state["stem.0.weight"]))

    def move(dimension: int, *names: str) -> None:
        for name in names:
            moved[name] = moved[name].index_select(dimension, order.argsort() if back else order)

    residuals = (name for name in state if ".residual." in name)
    for _, group in groupby(residuals, lambda name: name.partition(".residual.")[0]):
        names = list(group)
        last = names[-6:-1]  # the last convolution's weight, and its normalisation without the counter
        move(1, names[0])
        channels = len(state[last[0]])
        if extra := channels - len(order):
            order = order + extra // 2
            order = torch.cat([order, torch.tensor(sorted({*range(channels)} - {*order.tolist()}))])
        move(0, *last)
    move(1, "head.weight")
    return moved


def _shape(value: Any) -> str:
    """'16x3x3x3'; with its type if that is not of floating point, in which all but counters are, or its layout."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    size = "x".join(map(str, value.shape)) or "a number"
    if value.layout != torch.strided:
        return f"{size} {value.layout}".replace("torch.", "")
    return size if value.is_floating_point() else f"{size} {value.dtype}".replace("torch.", "")


def _some(names: Iterable[str], most: int = 3) -> str:
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
