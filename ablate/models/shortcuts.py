"""Every h(x) of the study: each class is one row of [B] Table 1, its `forward` that row's equation.

A shortcut is built from `(in_channels, out_channels, stride)` plus its own parameters, and called as
`shortcut(x, residual)` with `x: (N, in, H, W)` and `residual = F(x): (N, out, H/stride, W/stride)`. It returns
`y = h(x) + F(x)`, the sum before the activation, of the shape of `residual`. It is given both because exclusive
gating and frozen gating scale F too.

[A] He et al. 2016, arXiv:1512.03385. [B] He et al. 2016, arXiv:1603.05027.

    ablate shortcut=gate shortcut.bias_init=-3
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Projection(nn.Sequential):
    """1×1 convolution, batch-normalised or not, from the shape of x to the shape of F."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: bool) -> None:
        # The normalisation carries the bias where there is one; [B]'s release has neither, and no bias.
        conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, *([nn.BatchNorm2d(out_channels)] if norm else []))


class PadChannels(nn.Module):
    """Option A of [A] §3.3: subsample by the stride, append zero channels; no parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        # Windows of one pixel: x[:, :, ::stride, ::stride], whose own gradient would lose the memory format.
        return functional.pad(functional.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, 0, self.extra))


def match_shape(in_channels: int, out_channels: int, stride: int, option: str) -> nn.Module:
    """The module that gives x the shape of F, before anything is scaled or gated ([A] §3.3).

    Option A pads with zero channels, B projects where the shape changes, C projects everywhere; A and B leave x
    alone where the shape stays. Raises ValueError for another option, or for A where channels get fewer.
    """
    if option not in ("A", "B", "C"):
        raise ValueError(f"option {option!r} is not one of A, B, C")
    if option == "C":
        return Projection(in_channels, out_channels, stride, norm=True)
    if in_channels == out_channels and stride == 1:
        return nn.Identity()
    if option == "B":
        return Projection(in_channels, out_channels, stride, norm=True)
    if out_channels < in_channels:
        raise ValueError(f"option A cannot go from {in_channels} to {out_channels} channels")
    return PadChannels(in_channels, out_channels, stride)


class Identity(nn.Module):
    """y = x + F(x): the original unit ([A] eq. 1, [B] Fig. 2a)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, option: str = "A") -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.match(x) + residual


class NoShortcut(nn.Module):
    """y = F(x): the plain network, which is constant scaling by 0 ([B] Fig. 2b with λ = 0)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return residual


class Constant(nn.Module):
    """y = scale · x + residual_scale · F(x) ([B] Fig. 2b); 0.5 and 0.5 is the paper's "frozen gating"."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        scale: float = 0.5,
        residual_scale: float = 1.0,
        option: str = "A",
    ) -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.scale, self.residual_scale = scale, residual_scale

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.scale * self.match(x) + self.residual_scale * residual


class Gate(nn.Module):
    """y = (1 − g(x)) · x + F(x), shortcut-only gating ([B] Fig. 2d).

    g(x) = σ(W_g x + b_g) is a 1×1 convolution of the matched x, per position and per channel; b_g starts at
    `bias_init`, so at −6 the shortcut starts nearly open.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, *, bias_init: float = -6.0, option: str = "A"
    ) -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.gate = nn.Conv2d(out_channels, out_channels, 1)
        nn.init.kaiming_normal_(self.gate.weight, mode="fan_out", nonlinearity="relu")
        nn.init.constant_(self.gate.bias, bias_init)  # type: ignore[arg-type]

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        x = self.match(x)
        return (1 - torch.sigmoid(self.gate(x))) * x + residual


class ExclusiveGate(Gate):
    """y = (1 − g(x)) · x + g(x) · F(x), as in highway networks ([B] Fig. 2c)."""

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        x = self.match(x)
        g = torch.sigmoid(self.gate(x))
        return (1 - g) * x + g * residual


class Conv1x1(nn.Module):
    """y = conv(x) + F(x), in every unit ([B] Fig. 2e).

    The papers leave open whether the convolution is normalised: the Torch release of [A] normalises its
    projections, that of [B] does not, and [B] is where this row stands, so `norm` is false by default.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: bool = False) -> None:
        super().__init__()
        self.projection = Projection(in_channels, out_channels, stride, norm=norm)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.projection(x) + residual


class Dropout(nn.Module):
    """y = dropout(x) + F(x), inverted dropout of ratio p ([B] Fig. 2f): at p = 0.5 a λ of expectation 0.5."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, p: float = 0.5, option: str = "A") -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.dropout = nn.Dropout(p)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.dropout(self.match(x)) + residual
