"""Residual units: the convolutions of [A] Fig. 5 and [B] Table 3 in the activation orders of [B] Fig. 4. The only code
that calls a shortcut.

[A] He et al. 2016, arXiv:1512.03385. [B] He et al. 2016, arXiv:1603.05027.

    ablate unit=bottleneck unit.order=full_preactivation depth=164
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from ablate.models.connection import Connection, Position, in_float32, read

Shortcut = Callable[[int, int, int], nn.Module]
"""Builds h from (in_channels, out_channels, stride). What it builds is called as h(x, F(x)) and returns the sum."""


@dataclass(frozen=True)
class Units:
    """Units of one kind: `units(in_channels, out_channels, stride)` builds one, with its shortcut.

    `position` is for units and shortcuts that ask for it. A unit has `layers` convolutions, and `expansion` times the
    channels of a stage; `norm` is false of units that are to train without batch normalisation.
    """

    build: Callable[[int, int, int, Position | None], nn.Module]
    layers: int = 2
    expansion: int = 1
    norm: bool = True

    def __call__(self, in_channels: int, out_channels: int, stride: int, position: Position | None = None) -> nn.Module:
        return self.build(in_channels, out_channels, stride, position)


class Order(NamedTuple):
    """What stands before, between and after the convolutions of F, and after the addition."""

    before: str
    between: str
    last: str
    after: str


ORDERS = {
    "original": Order("", "BN ReLU", "BN", "ReLU"),  # [B] Fig. 4a, [A] Fig. 2
    "bn_after_addition": Order("", "BN ReLU", "", "BN ReLU"),  # Fig. 4b
    "relu_before_addition": Order("", "BN ReLU", "BN ReLU", ""),  # Fig. 4c
    "relu_only_preactivation": Order("ReLU", "BN ReLU", "BN", ""),  # Fig. 4d
    "full_preactivation": Order("BN ReLU", "BN ReLU", "", ""),  # Fig. 4e
}


Layer = TypeVar("Layer", bound=nn.Module)


def uninitialised(layer: type[Layer], *arguments: Any, **options: Any) -> Layer:
    """A layer whose parameters have any values, made without random numbers.

    torch.nn.utils.skip_init does the same, but imports sympy for it: half a second at the start of every run.
    """
    made = layer(*arguments, **options, device="meta")
    for name, parameter in [*made.named_parameters()]:
        setattr(made, name, nn.Parameter(torch.empty(parameter.shape)))
    return made


def conv(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, He-initialised ([A] §3.4) by fan-out, as in the release of [B]."""
    made = uninitialised(nn.Conv2d, in_channels, out_channels, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(made.weight, mode="fan_out", nonlinearity="relu")
    return made


def conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    """A 3×3 convolution without bias, He-initialised."""
    return conv(in_channels, out_channels, 3, stride)


def activation(names: str, channels: int) -> nn.Sequential:
    """Batch normalisation, ReLU, both or nothing, as an Order says."""
    # In place only after normalisation: the input of a lone ReLU, x or the sum, is needed elsewhere.
    layers: list[nn.Module] = [nn.BatchNorm2d(channels)] if "BN" in names else []
    return nn.Sequential(*layers, *([nn.ReLU(inplace=bool(layers))] if "ReLU" in names else []))


class Unit(nn.Module):
    """y = h(x) + F(x), then what `order` has after the addition ([B] eq. 1 and 2).

    Maps (N, in, H, W) to (N, out, H/stride, W/stride). Where the shape changes, a pre-activated unit gives h what it
    gives F; [B] says so of projections. With a `Connection` for h, x and y are its states. Raises ValueError for
    another order, or if one that has anything after the addition has a connection.

    A subclass says which convolutions F has: their `sizes`, how many times wider its output is than its inner layers,
    and which convolution has the stride.
    """

    sizes: tuple[int, ...]
    expansion = 1
    strided = 0

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, shortcut: Shortcut, *, order: str = "original"
    ) -> None:
        super().__init__()
        if order not in ORDERS:
            raise ValueError(f"unit.order={order} is invalid: use one of {', '.join(ORDERS)}")
        self.order = ORDERS[order]
        h = shortcut(in_channels, out_channels, stride)
        self.stateful = isinstance(h, Connection)
        if self.stateful and self.order.after:
            raise ValueError(
                f"unit.order={order} has {self.order.after} after the addition, where {type(h).__name__} has a state: "
                "use unit.order=full_preactivation"
            )
        layers = len(self.sizes)
        out_of_f = getattr(h, "residual_channels", out_channels)
        widths = [in_channels, *[out_channels // self.expansion] * (layers - 1), out_of_f]
        self.before = activation(self.order.before, in_channels)
        self.residual = nn.Sequential()
        for at, (size, into, out) in enumerate(zip(self.sizes, widths, widths[1:], strict=False)):
            self.residual.append(conv(into, out, size, stride if at == self.strided else 1))
            self.residual.extend(activation(self.order.last if at == layers - 1 else self.order.between, out))
        self.shortcut = h
        self.after = activation(self.order.after, out_channels)
        self.changes_shape = in_channels != out_channels or stride != 1

    def forward(self, x: Tensor) -> Tensor:
        activated = self.before(read(self.shortcut, x))
        given = activated if self.changes_shape and not self.stateful else x
        return self.after(add(self.shortcut, given, self.residual(activated)))

    def preactivation(self, channels: int) -> nn.Module:
        """What stands before F, for the end of the network."""
        return activation(self.order.before, channels)


class Basic(Unit):
    """F has two 3×3 convolutions ([A] Fig. 5 left)."""

    sizes = (3, 3)


class Bottleneck(Unit):
    """F has a 1×1 convolution to a quarter of the channels, a 3×3, and a 1×1 back ([A] Fig. 5 right).

    The stride is in the 3×3, as in fb.resnet.torch and torchvision; or, with `stride_in` = "1x1", in the first
    convolution, as in the releases of [A] and [B]. Raises ValueError for another `stride_in`.
    """

    sizes, expansion = (1, 3, 1), 4

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        shortcut: Shortcut,
        *,
        order: str = "original",
        stride_in: str = "3x3",
    ) -> None:
        if stride_in not in ("3x3", "1x1"):
            raise ValueError(f"unit.stride_in={stride_in} is invalid: use 3x3 or 1x1")
        self.strided = 1 if stride_in == "3x3" else 0
        super().__init__(in_channels, out_channels, stride, shortcut, order=order)


class Single(Unit):
    """F has one 3×3 convolution ([B] Table 3)."""

    sizes = (3,)


def add(shortcut: nn.Module, x: Tensor, residual: Tensor) -> Tensor:
    """h(x) + F(x), or of a connection the next state, in float32 (see `in_float32`).

    Raises ValueError if the sum is no tensor, or does not have the shape of F(x).
    """
    y: object = in_float32(shortcut, x, residual)
    if not isinstance(y, Tensor):
        raise ValueError(f"it gives a {type(y).__name__}, not a tensor")
    if isinstance(shortcut, Connection):
        return y
    if y.shape != residual.shape:  # the next unit might broadcast it, or the pooling average it away
        raise ValueError(f"it gives {tuple(y.shape)} where F(x) is {tuple(residual.shape)}")
    return y
