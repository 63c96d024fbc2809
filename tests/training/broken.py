"""Shortcuts and units with one fault each, for the battery of `ablate check`."""

import os

import torch
from torch import nn

from ablate.models.shortcuts import Identity
from ablate.models.units import Basic


class WrongShape(Identity):
    def forward(self, x, residual):
        return super().forward(x, residual)[:, :, :1]


class Tuple(Identity):
    def forward(self, x, residual):
        return self.match(x), residual


class StrideByChannels(nn.Module):
    """Takes a change of channels for a stride of 2."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.step, self.extra = 1 + (in_channels != out_channels), out_channels - in_channels

    def forward(self, x, residual):
        return nn.functional.pad(x[:, :, :: self.step, :: self.step], (0, 0, 0, 0, 0, self.extra)) + residual


class ChangesInput(Identity):
    def forward(self, x, residual):
        y = self.match(x) + residual
        with torch.no_grad():
            x.detach().mul_(0.5)
        return y


class Unseeded(Identity):
    def forward(self, x, residual):
        return self.match(x) * (1 + int.from_bytes(os.urandom(1), "big") / 1e3) + residual


class UnseededStart(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        start = int.from_bytes(os.urandom(4), "big") / 2**32
        self.scale = nn.Parameter(torch.tensor(start))

    def forward(self, x, residual):
        return self.match(x) + self.scale * residual


class HiddenState(Identity):
    calls = 0

    def forward(self, x, residual):
        self.calls += 1
        return self.match(x) / self.calls + residual


class Unregistered(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.scales = [torch.ones((), requires_grad=True)]

    def forward(self, x, residual):
        return self.match(x) + self.scales[0] * residual


class UnregisteredPrivate(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self._scale = torch.ones(())

    def forward(self, x, residual):
        return self.match(x) + self._scale * residual


class ListOfModules(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.layers = [nn.Conv2d(out_channels, out_channels, 1)]

    def forward(self, x, residual):
        return self.layers[0](self.match(x)) + residual


class MeanOfEvaluations(Identity):
    """Its buffer goes on changing in evaluation."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x, residual):
        y = self.match(x) + residual
        self.mean.lerp_(y.detach().mean(), 0.1)
        return y - self.mean.clone()


class ReadsItsNeighbours(Identity):
    """In evaluation too; at its initial value the fault has no effect."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x, residual):
        return self.match(x) + self.scale * residual.mean(0) + residual


class RandomInEvaluation(Identity):
    def forward(self, x, residual):
        return self.match(x) * (torch.rand(()) + 0.5) + residual


class Unused(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.scale = nn.Parameter(torch.ones(()))


class ZeroTwice(Identity):
    """Two numbers of which each is the other's gradient, and both are 0."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.one, self.other = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, x, residual):
        return self.match(x) + (1 + self.one * self.other) * residual


class InfiniteGradient(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x, residual):
        return self.match(x) + self.scale.sqrt() * residual


class Untraceable(Identity):
    def forward(self, x, residual):
        scale = 1.0 if torch.compiler.is_compiling() else 0.5
        return scale * self.match(x) + residual


class SharedBetweenCopies(Identity):
    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.scale = nn.Parameter(torch.full((), 0.5))

    def __deepcopy__(self, memo):
        return self

    def forward(self, x, residual):
        return self.match(x) + self.scale * residual


class InBfloat16(Basic):
    """A unit that adds in bfloat16 what overflows there after a division."""

    def forward(self, x):
        residual = self.residual(x)
        small = torch.finfo(torch.bfloat16).eps if residual.dtype == torch.bfloat16 else 1e-3
        return self.after(self.shortcut(x.float(), residual.float() / (small - torch.finfo(torch.bfloat16).eps)))


class RandomPerCall(Identity):
    """Keeps a counter that a recomputation counts twice."""

    counter: list[int] = [0]  # noqa: RUF012

    def forward(self, x, residual):
        self.counter[0] += 1
        return self.match(x) * (1 + self.counter[0] % 5) + residual


class TwoNames(Identity):
    """Without a fault: a list of its own parameters."""

    def __init__(self, in_channels, out_channels, stride):
        super().__init__(in_channels, out_channels, stride)
        self.scale = nn.Parameter(torch.ones(()))
        self.scales = [self.scale]

    def forward(self, x, residual):
        return self.match(x) + self.scales[0] * residual
