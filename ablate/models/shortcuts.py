"""Every h(x) of the study. Each class is one equation, and its `forward` that equation in code.

A shortcut is built from `(in_channels, out_channels, stride)` and its own parameters, and called as
`shortcut(x, residual)` with `x: (N, in, H, W)` and `residual = F(x): (N, out, H/stride, W/stride)`. It returns the sum
before the activation, y, in the shape of `residual`. It is given F(x) because exclusive and frozen gating scale it too.
In the equations below, x has been given the shape of F(x) by `match_shape`.

[A] He et al. 2016, arXiv:1512.03385. [B] He et al. 2016, arXiv:1603.05027.

    ablate shortcut=gate shortcut.bias_init=-3
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class Projection(nn.Sequential):
    """1×1 convolution from the shape of x to the shape of F, He-initialised by fan-out; with or without BN."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: bool) -> None:
        # No bias: BN has one, and the release of [B] has neither.
        conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        super().__init__(conv, *([nn.BatchNorm2d(out_channels)] if norm else []))


class PadChannels(nn.Module):
    """Option A of [A] §3.3: subsample by the stride, append zero channels. No parameters."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride, self.extra = stride, out_channels - in_channels

    def forward(self, x: Tensor) -> Tensor:
        # Pooling over one pixel is x[:, :, ::stride, ::stride], but keeps the gradient channels-last.
        return functional.pad(functional.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, 0, self.extra))


OPTIONS = ("A", "B", "C", "B_bare", "C_bare")


def match_shape(in_channels: int, out_channels: int, stride: int, option: str) -> nn.Module:
    """The module that gives x the shape of F before it is scaled or gated ([A] §3.3).

    Option A pads with zero channels; B projects where the shape changes; C projects in every unit. Where the shape does
    not change, A and B are the identity. Projections are normalised, as in the release of [A]; in B_bare and C_bare
    they are not, as in that of [B]. Raises ValueError for another option, and for A if there are fewer channels.
    """
    if option not in OPTIONS:
        raise ValueError(f"shortcut.option={option} is invalid: use one of {', '.join(OPTIONS)}")
    letter, _, bare = option.partition("_")
    changes = in_channels != out_channels or stride != 1
    if letter == "C" or (letter == "B" and changes):
        return Projection(in_channels, out_channels, stride, norm=not bare)
    if not changes:
        return nn.Identity()
    if out_channels < in_channels:
        raise ValueError(f"option A cannot go from {in_channels} to {out_channels} channels: use option B")
    return PadChannels(in_channels, out_channels, stride)


class Identity(nn.Module):
    """y = x + F(x): the original unit ([A] eq. 1, [B] Fig. 2a)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, option: str = "A") -> None:
        super().__init__()
        self.match = match_shape(in_channels, out_channels, stride, option)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.match(x) + residual


class NoShortcut(nn.Module):
    """y = F(x): the plain network ([A] §3.3; [B] Table 1, constant scaling by 0)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return residual


class Constant(nn.Module):
    """y = scale · x + residual_scale · F(x), constant scaling ([B] Fig. 2b); by 0.5 and 0.5 it is "frozen gating"."""

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

    g(x) = σ(W_g x + b_g), a 1×1 convolution of x: one gate for each position and channel. b_g starts at `bias_init`.

    The papers do not say how W_g starts. `weight_init` = "zero": W_g = 0, so g(x) = σ(b_g) everywhere, which is what
    [B] argues with; bias_init = −6 makes 1 − g = 0.998. "he": by fan-out, as other convolutions; W_g x then grows with
    the depth, and partly shuts deep gates whatever b_g is. Nor do the papers say whether weight decay acts on b_g,
    which it pulls to 0: `decay_bias`. Raises ValueError for another `weight_init`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        bias_init: float = -6.0,
        weight_init: str = "zero",
        decay_bias: bool = True,
        option: str = "A",
    ) -> None:
        super().__init__()
        if weight_init not in ("zero", "he"):
            raise ValueError(f"shortcut.weight_init={weight_init} is invalid: it must be zero or he")
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.gate = nn.Conv2d(out_channels, out_channels, 1)
        if weight_init == "he":
            nn.init.kaiming_normal_(self.gate.weight, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, bias_init)  # type: ignore[arg-type]
        self.no_decay = () if decay_bias else ("gate.bias",)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        x = self.match(x)
        return (1 - torch.sigmoid(self.gate(x))) * x + residual


class ExclusiveGate(Gate):
    """y = (1 − g(x)) · x + g(x) · F(x), exclusive gating as in highway networks ([B] Fig. 2c)."""

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        x = self.match(x)
        g = torch.sigmoid(self.gate(x))
        return (1 - g) * x + g * residual


class Conv1x1(nn.Module):
    """y = W x + F(x), a 1×1 convolution in every unit ([B] Fig. 2e).

    `norm` adds BN after the convolution. The papers do not say whether there is one: the release of [A] normalises its
    projections, that of [B] does not. The default follows [B], whose experiment this is.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, *, norm: bool = False) -> None:
        super().__init__()
        self.projection = Projection(in_channels, out_channels, stride, norm=norm)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.projection(x) + residual


class Dropout(nn.Module):
    """y = d(x) + F(x), dropout on the shortcut ([B] Fig. 2f): each element of x is 0 with probability p in training.

    `scaling` = "train": the others are x / (1 − p), so that d(x) has the expectation x; in evaluation d(x) = x. "test":
    the others are x, so that d(x) has the expectation (1 − p) · x, and is that in evaluation: the λ = 0.5 that [B]
    argues with. Raises ValueError unless 0 ≤ p < 1, or for another `scaling`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        *,
        p: float = 0.5,
        scaling: str = "train",
        option: str = "A",
    ) -> None:
        super().__init__()
        if not 0 <= p < 1:  # nn.Dropout accepts 1, which drops everything
            raise ValueError(f"shortcut.p={p} is invalid: it must be from 0 to below 1")
        if scaling not in ("train", "test"):
            raise ValueError(f"shortcut.scaling={scaling} is invalid: it must be train or test")
        self.match = match_shape(in_channels, out_channels, stride, option)
        self.dropout = nn.Dropout(p)  # scales in training
        self.scale = 1 if scaling == "train" else 1 - p

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.scale * self.dropout(self.match(x)) + residual
