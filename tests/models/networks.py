"""Networks for tests."""

from ablate.models.resnet import cifar
from ablate.models.units import Basic, Units


def resnet(depth, shortcut, *, in_channels=1, classes=10, unit=Basic, width=1):
    """The network for CIFAR, without a configuration."""
    units = Units(lambda *shape: unit(*shape[:3], shortcut), len(unit.sizes), unit.expansion)
    return cifar(in_channels, classes, depth=depth, width=width, unit=units)
