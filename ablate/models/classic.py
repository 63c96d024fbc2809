"""The networks before ResNet, which have no shortcuts: LeNet-5, AlexNet, ZFNet, VGG, GoogLeNet.

ablate net=lenet5
ablate net=alexnet data=folder data.root=images
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ablate.models.network import Network


class Chain(Network):
    """Layers one after another, the last of them a head on flat features.

    Images are brought to `size`×`size` first, as Pillow does it: bilinear, with antialiasing where they become smaller;
    those that are not square are distorted. `size` None leaves them as they are, and needs `smallest`×`smallest` or
    more. A network for `colour` sees images of one channel as grey ones of three.

    Raises ValueError for another `size` or number of channels.
    """

    def __init__(
        self, layers: Mapping[str, nn.Module], in_channels: int, *, size: int | None, smallest: int, colour: bool = True
    ) -> None:
        super().__init__()
        if size is not None and (type(size) is not int or not smallest <= size <= 4096):
            raise ValueError(f"net.size={size} is invalid: use {smallest} to 4096 pixels, or null to resize none")
        if colour and in_channels not in (1, 3):
            raise ValueError(f"images have {in_channels} channels: use 1 or 3")
        self.size, self.colour = size, colour
        self.smallest = 1 if size else smallest
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        *layers, head = self.children()
        if self.colour and x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        if self.size and x.shape[2:] != (self.size, self.size):
            x = functional.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        for layer in layers:
            x = layer(x)
        with torch.autocast(x.device.type, enabled=False):  # logits in bfloat16 tie: it has 8 significant bits
            return head(x.flatten(1).to(torch.promote_types(x.dtype, torch.float32)))


def lenet5(in_channels: int, classes: int, *, size: int) -> Chain:
    """LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998, Fig. 2), on images of 32×32.

    As in 1998: the sizes of all layers, average pooling, tanh. Not as in 1998: pooling has no coefficient and no bias;
    tanh is not scaled; each map of C3 sees all six of S2, and not three to six of them; the output is linear, and not
    the distance to a given code of each class; weights start normal with variance 1 / fan-in. With one channel and ten
    classes there are 61,706 parameters.
    """
    if size != 32:
        raise ValueError(f"net.size={size} is invalid: LeNet-5 has images of 32x32; leave it out")
    layers = {
        "c1": nn.Sequential(nn.Conv2d(in_channels, 6, 5), nn.Tanh()),  # 6 maps of 28×28
        "s2": nn.AvgPool2d(2),
        "c3": nn.Sequential(nn.Conv2d(6, 16, 5), nn.Tanh()),  # 16 of 10×10
        "s4": nn.AvgPool2d(2),
        "c5": nn.Sequential(nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten()),
        "f6": nn.Sequential(nn.Linear(120, 84), nn.Tanh()),
        "output": nn.Linear(84, classes),
    }
    return _started(Chain(layers, in_channels, size=size, smallest=32, colour=False), "linear")


def zfnet(in_channels: int, classes: int, *, size: int | None) -> Chain:
    """ZFNet (Zeiler and Fergus 2013, arXiv:1311.2901, Fig. 3). Of an image of 224×224:

        7×7, stride 2, 96 maps      110×110    pooled to 55×55
        5×5, stride 2, 256 maps       26×26    pooled to 13×13
        3×3, 384 maps                 13×13
        3×3, 384 maps                 13×13
        3×3, 256 maps                 13×13    pooled to 6×6
        linear, 4096; linear, 4096; linear

    Pooling is the maximum of 3×3, stride 2; dropout follows the first two linear layers. The paper prints no padding:
    it follows from the sizes. Not as in 2013: no contrast normalisation; weights start by He, with variance 2 / fan-in.
    """
    features, channels = nn.Sequential(), 3
    for out, kernel, stride, padding, pooled in (
        (96, 7, 2, 1, True),
        (256, 5, 2, 0, True),
        (384, 3, 1, 1, False),
        (384, 3, 1, 1, False),
        (256, 3, 1, 1, True),
    ):
        features.extend([nn.Conv2d(channels, out, kernel, stride, padding), nn.ReLU(inplace=True)])
        features.extend([nn.MaxPool2d(3, 2, ceil_mode=True)] if pooled else [])
        channels = out
    classifier = nn.Sequential(
        *(nn.Linear(6 * 6 * channels, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout()),
        nn.Linear(4096, classes),
    )
    layers = {"features": features, "avgpool": nn.AdaptiveAvgPool2d(6), "classifier": classifier}
    return _started(Chain(layers, in_channels, size=size, smallest=47), "relu")


def _started(network: Chain, nonlinearity: Literal["linear", "relu"]) -> Chain:
    """`network` with normal weights of variance 1 / fan-in, or 2 / fan-in before ReLU, and biases 0."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity=nonlinearity)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


# torchvision is imported where it is needed, because that takes a second.


def alexnet(in_channels: int, classes: int, *, size: int | None) -> Chain:
    """AlexNet (Krizhevsky et al. 2012), torchvision's: as in arXiv:1404.5997, on one GPU and without normalisation."""
    from torchvision.models import AlexNet

    return _chain(AlexNet(classes), in_channels, size, smallest=63)


def vgg16(in_channels: int, classes: int, *, size: int | None) -> Chain:
    """VGG-16 (Simonyan and Zisserman 2014, arXiv:1409.1556, Table 1 D), torchvision's, without batch normalisation."""
    from torchvision.models import vgg16

    return _chain(vgg16(num_classes=classes), in_channels, size, smallest=32)


def vgg19(in_channels: int, classes: int, *, size: int | None) -> Chain:
    """VGG-19 (Table 1 E)."""
    from torchvision.models import vgg19

    return _chain(vgg19(num_classes=classes), in_channels, size, smallest=32)


def googlenet(in_channels: int, classes: int, *, size: int | None) -> Chain:
    """GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842), torchvision's.

    It differs from the paper's: batch normalisation follows each convolution, and 5×5 convolutions are 3×3. It has no
    auxiliary classifiers: those gave early layers a gradient, which batch normalisation does.
    """
    from torchvision.models import GoogLeNet

    return _chain(GoogLeNet(classes, aux_logits=False, init_weights=True), in_channels, size, smallest=15)


def _chain(network: nn.Module, in_channels: int, size: int | None, smallest: int) -> Chain:
    """A network of torchvision: the same layers under the same names, and the same initial weights."""
    return Chain(dict(network.named_children()), in_channels, size=size, smallest=smallest)
