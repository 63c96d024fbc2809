"""Published networks on ImageNet: error, operations, parameters.

`top1` and `top5` are errors in percent on the validation images, one network and one crop: of torchvision's weights
IMAGENET1K_V1. ZFNet, which torchvision lacks, has those of its paper, arXiv:1311.2901, Table 2, with ten crops.
Operations and parameters are of `net`, which is torchvision's network; of ZFNet as in its paper.
"""

from typing import NamedTuple


class OnImageNet(NamedTuple):
    """`entry`: the top-5 error in percent on ILSVRC's test images of the authors' entry, which is of several networks
    and many crops.
    """

    name: str
    net: str
    year: int
    top1: float
    top5: float
    multiply_adds: int
    parameters: int
    entry: float | None = None


NETWORKS = [
    OnImageNet("AlexNet", "alexnet", 2012, 43.478, 20.934, 714_188_480, 61_100_840, 16.4),
    OnImageNet("ZFNet", "zfnet", 2013, 38.4, 16.5, 1_168_032_896, 62_357_608, 11.7),
    OnImageNet("VGG-16", "vgg16", 2014, 28.408, 9.618, 15_470_264_320, 138_357_544),
    OnImageNet("VGG-19", "vgg19", 2014, 27.624, 9.124, 19_632_062_464, 143_667_240, 7.3),
    OnImageNet("GoogLeNet", "googlenet", 2014, 30.222, 10.470, 1_498_376_192, 6_624_904, 6.7),
    OnImageNet("ResNet-18", "resnet18", 2015, 30.242, 10.922, 1_814_073_344, 11_689_512),
    OnImageNet("ResNet-34", "resnet34", 2015, 26.686, 8.580, 3_663_761_408, 21_797_672),
    OnImageNet("ResNet-50", "resnet50", 2015, 23.870, 7.138, 4_089_184_256, 25_557_032),
    OnImageNet("ResNet-101", "resnet101", 2015, 22.626, 6.454, 7_801_405_440, 44_549_160),
    OnImageNet("ResNet-152", "resnet152", 2015, 21.688, 5.954, 11_513_626_624, 60_192_808, 3.57),
]
