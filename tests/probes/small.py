"""Small networks whose signal is measured by hand."""

import torch
from torch import nn

from ablate.models.build import build
from ablate.models.network import Network
from ablate.probes.signal import Signal, measure

SCALES = ({"scale": 0.5}, {"scale": -0.25}, {"scale": 3.0})


class Three(Network):
    """Three units of two channels with F(x) = tanh(conv(x)) and f = relu, whose shortcut has another name."""

    def __init__(self, *made, f=True):
        super().__init__()
        self.parts = nn.ModuleList(One(shortcut, f) for shortcut in made)

    def units(self):
        return ((1, unit) for unit in self.parts)

    def forward(self, x):
        for unit in self.parts:
            x = unit(x)
        return x.mean((2, 3))


class One(nn.Module):
    def __init__(self, shortcut, f):
        super().__init__()
        self.conv, self.h, self.f = nn.Conv2d(2, 2, 3, padding=1), shortcut, f

    def forward(self, x):
        y = self.h(x, torch.tanh(self.conv(x)))
        return torch.relu(y) if self.f else y


def made(kind, *settings, **common):
    torch.manual_seed(0)
    return [kind(2, 2, 1, **common, **setting) for setting in settings]


def weighted(kind, **common):
    """Three shortcuts with weights that mix the channels."""
    found = made(kind, {}, {}, {}, **common)
    for shortcut in found:
        for parameter in shortcut.parameters():
            nn.init.normal_(parameter)
    return found


def images(size=4, channels=2, count=6):
    torch.manual_seed(1)
    return torch.randn(count, channels, size, size, dtype=torch.float64)


def measured(network, size=4, channels=2, classes=2, count=6) -> Signal:
    return measure(network.double(), images(size, channels, count), torch.arange(count) % classes)


def digits(config, count=8) -> Signal:
    """What is measured on the network of a configuration, in float64, on images of the size of the digits."""
    network = build(config, shape=(1, 8, 8), classes=10)
    return measured(network, size=8, channels=1, classes=10, count=count)
