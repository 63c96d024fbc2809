"""Networks for tests."""

from ablate.models.resnet import ResNet, cifar_stages
from ablate.models.units import Basic


def resnet(depth, shortcut, *, in_channels=1, classes=10, unit=Basic, width=1):
    """The network for CIFAR, without a configuration."""
    stages = cifar_stages(depth, len(unit.sizes), width * unit.expansion)
    return ResNet(stages, shortcut, in_channels=in_channels, classes=classes, unit=unit)
